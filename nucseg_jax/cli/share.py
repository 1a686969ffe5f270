"""`share`: the best model of a run, or a model folder, as one file that is handed on."""

import os
import pathlib
import tempfile

from nucseg_jax.cli.export_folder import read_card, report, usage, write_run
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import read_file
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.load import load_run
from nucseg_jax.model_folder.facts import StoredDtype, first_line
from nucseg_jax.model_folder.folder import is_model_folder, read_model_folder
from nucseg_jax.model_folder.named import find_model


def share_run(
    workdir: pathlib.Path,
    out: pathlib.Path,
    *,
    dtype: StoredDtype,
    card: pathlib.Path | None = None,
    licence: str | None = None,
    notes: str = "",
) -> None:
    """Writes the file of a run; arguments and errors as in `export_folder`.

    Args:
      workdir: the run.
      out: the file; one of before is replaced, another kind of file is not.
      dtype, card, licence, notes: as in `export_folder`.
    """
    out = _target(out)
    text = None if card is None else read_card(card)
    if is_model_folder(workdir):
        raise UserError(
            f"{workdir} is a model already",
            expected="a run folder with --workdir",
            advice=f"to pack a model folder: --model={workdir}",
        )
    run = load_run(workdir)
    with tempfile.TemporaryDirectory(prefix="nucseg_jax_share_") as folder:
        written = write_run(
            run,
            pathlib.Path(folder),
            # Not that of `out`: equal runs give equal bytes under any name.
            name=pathlib.Path(os.path.abspath(workdir)).name,
            dtype=dtype,
            card=text,
            licence=licence,
            notes=notes,
        )
        _pack(pathlib.Path(folder), out)
    size = out.stat().st_size
    print("\n".join([*report(run, written, out, size, is_own_card=card is None), *_how_to_use(out)]))


def share_model(source: str | pathlib.Path, out: pathlib.Path) -> None:
    """Packs a model folder as it is.

    Args:
      source: the name of a model, or a model folder.
      out: as in `share_run`.

    Raises:
      UserError: no such model, or a damaged one; a place that cannot be written, or holds something else.
    """
    out = _target(out)
    path, name = find_model(source)
    if not is_model_folder(path):
        raise UserError(
            f"{name} is no model folder",
            expected="the name of a model, or a folder that export --format=folder wrote",
            advice=f"for a run folder: --workdir={name}",
        )
    _pack(path, out)
    facts = read_model_folder(out).facts
    size = out.stat().st_size
    print(
        "\n".join(
            [
                f"{out}: {size / 1e6:.1f} MB, weights {facts.stored_dtype}; licence: {first_line(facts.licence)}",
                *_how_to_use(out),
            ]
        )
    )


def _pack(folder: pathlib.Path, out: pathlib.Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        read_model_folder(folder).pack(out)
        read_model_folder(out)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(
            f"{out} cannot be written: {reason_of(error)}", advice="choose another --out"
        ) from None


def _target(out: pathlib.Path) -> pathlib.Path:
    """Returns the absolute path of the file to write.

    Raises:
      UserError: something else than a packed model is there.
    """
    out = pathlib.Path(os.path.abspath(out))
    if not os.path.lexists(out):
        return out
    if out.is_symlink() or not out.is_file():
        kind = "link" if out.is_symlink() else "folder" if out.is_dir() else "special file"
        raise UserError(f"{out} is a {kind}", expected="a new file", advice="choose another --out")
    try:
        read_model_folder(out)
    except UserError:
        raise UserError(
            f"{out} is there and is no packed model of this version",
            expected="a new file, or a packed model to be replaced",
            advice="remove it, or choose another --out",
        ) from None
    return out


def _how_to_use(out: pathlib.Path) -> list[str]:
    sha256 = bytes_digest(read_file(out))["sha256"]
    return [f"SHA-256 {sha256}", usage(out), f"by URL: --model='https://HOST/{out.name}#sha256={sha256}'"]
