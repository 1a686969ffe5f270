"""`formats`: the nuclei that `predict` wrote, in the formats of other tools."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator, Mapping

from tqdm import tqdm

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import full_disk_explained, remove_half_written
from nucseg_jax.core.lock import file_lock
from nucseg_jax.inference.formats.finished_folder import finished_images, require_folder
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.table import Format
from nucseg_jax.inference.formats.write_formats import write_formats
from nucseg_jax.inference.output.output_files import LOCK
from nucseg_jax.inference.output.progress import printable


def formats(
    nuclei: pathlib.Path,
    chosen: Mapping[str, Format],
    out: pathlib.Path | None,
    options: Options,
    *,
    may_be_none: bool = False,
) -> None:
    """Writes the files of every finished image; those that are there and whole are left alone.

    Args:
      nuclei: the folder that `predict` wrote.
      chosen: from `named_formats`.
      out: the folder to write; None = `nuclei`.
      options: choices that the files depend on.
      may_be_none: a folder without a finished image is no error.

    Raises:
      UserError: no such folder, an image that is not finished, a folder that cannot be written or is in use.
    """
    require_folder(nuclei)
    out = nuclei if out is None else out
    with _reading(nuclei, out), writing(out):
        images = finished_images(nuclei)
        if not (images or may_be_none):
            raise UserError(
                f"{nuclei} holds no finished image", expected="one at least", advice="rerun predict"
            )
        written = _write(images, chosen, out, options)
    left = len(images) * len(chosen) - written
    print(
        f"{counted(written, 'file')} of {counted(len(images), 'image')} written to {out}"
        + (f"; {left:,} left alone: there and whole" if left else "")
    )


def _write(
    images: list[FinishedImage], chosen: Mapping[str, Format], out: pathlib.Path, options: Options
) -> int:
    """Returns the number of files that were written."""
    written = 0
    with tqdm(
        total=len(images) * len(chosen), unit=" files", dynamic_ncols=True, disable=not sys.stderr.isatty()
    ) as bar:
        for image in images:
            for path, is_new in write_formats(image, chosen, out, options):
                bar.update()
                written += is_new
                if is_new:
                    tqdm.write(printable(f"{image.input.name}: {path.name}"), file=sys.stdout)
    return written


@contextlib.contextmanager
def _reading(nuclei: pathlib.Path, out: pathlib.Path) -> Iterator[None]:
    """Keeps `predict` from writing what is read; a folder that nobody here may write to needs no lock."""
    lock = nuclei / LOCK
    with contextlib.ExitStack() as stack:
        # Made by `predict`: a copy without hidden files has none.
        if lock.exists() and nuclei.absolute() != out.absolute():
            with contextlib.suppress(OSError):
                stack.enter_context(
                    file_lock(lock, busy=f"another process is predicting into {nuclei}", advice="wait for it")
                )
        yield


@contextlib.contextmanager
def writing(out: pathlib.Path) -> Iterator[None]:
    """Makes the folder and locks it; removes half-written files of a killed process."""
    try:
        with full_disk_explained(out, advice="free some space, and rerun the same command to resume"):
            out.mkdir(parents=True, exist_ok=True)
            with file_lock(
                out / LOCK,
                busy=f"another process is writing into {out}",
                advice="wait for it, or choose another --out",
            ):
                remove_half_written(out)
                yield
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}", advice="choose another --out") from None
