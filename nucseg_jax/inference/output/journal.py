"""Progress of an image, in a file beside its outputs, so that the same command resumes it where it was stopped."""

import hashlib
import json
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.images.content_digest import content_digest
from nucseg_jax.images.open_source import files_of
from nucseg_jax.images.regular_files import files_below
from nucseg_jax.images.source import RefusedImage


class Journal(NamedTuple):
    """Progress of one image.

    Attributes:
      key: of the input, the model and the settings; another key is another job, which begins from nothing.
      ends: the rows of pixels at which the bands end whose probability is written. Nuclei are found again in the same
        bands, so that an image that was stopped gets the numbers it would have got.
      bands: a digest of each of these bands; see `probability_store.band_digest`.
      summary: of a finished image, None before.
      outputs: of a finished image, a digest of each output by its name.
    """

    key: str
    ends: list[int] = []  # noqa: RUF012 - never changed
    bands: list[str] = []  # noqa: RUF012
    summary: dict[str, Any] | None = None
    outputs: dict[str, str] = {}  # noqa: RUF012

    @property
    def rows_done(self) -> int:
        """Rows of pixels whose probability is written."""
        return self.ends[-1] if self.ends else 0


def job_key(path: pathlib.Path, settings: dict[str, Any]) -> str:
    """Computes a digest of what an image's outputs depend on.

    Args:
      path: the input; its files (`open_source.files_of`) count by their places and their content
        (`content_digest.content_digest`).
      settings: JSON values; model and settings.

    Raises:
      RefusedImage, OSError: a file that cannot be read.
    """
    files = files_of(path)
    identity = [[str(file.absolute()) for file in files], content_digest(files)]
    return _digest([identity, settings])


def output_digests(paths: Iterable[pathlib.Path]) -> dict[str, str]:
    """Computes the digests of outputs by their names, files or folders."""
    return {path.name: content_digest(files_below(path)) for path in paths}


def altered_outputs(paths: Iterable[pathlib.Path], digests: dict[str, str]) -> list[str]:
    """Lists the names of outputs that are gone, or hold something else than `output_digests` saw."""
    return [path.name for path in paths if _output_digest(path) != digests.get(path.name, "")]


def _output_digest(path: pathlib.Path) -> str | None:
    try:
        return content_digest(files_below(path))
    except (OSError, RefusedImage):
        return None


def read_journal(path: pathlib.Path, key: str) -> Journal:
    """Reads the journal of a job; an empty one if there is none, or a damaged one, or that of another job."""
    try:
        if not path.is_file():
            return Journal(key)
        journal = Journal(**unsealed(read_json(path)))
    # Anything may stand there.
    except (OSError, ValueError, TypeError, AttributeError):
        return Journal(key)
    return journal if journal.key == key else Journal(key)


def write_journal(path: pathlib.Path, journal: Journal) -> None:
    """Writes it in one step, with a digest of itself."""
    write_json(path, sealed(journal._asdict()))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
