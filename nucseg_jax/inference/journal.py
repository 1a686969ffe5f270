"""How far an image has come, in a file beside its outputs, so that the same command goes on where it was stopped."""

import hashlib
import json
import pathlib
from typing import Any, NamedTuple

from nucseg_jax.core.files import write_json
from nucseg_jax.inference.open_source import files_of


class Journal(NamedTuple):
    """Of one image.

    Attributes:
      key: of the input, the model and the settings; another key is another job, which begins anew.
      ends: the rows of pixels at which the bands end whose probability is written. Nuclei are found again in the same
        bands, so that an image that was stopped gets the numbers it would have got.
      summary: of a finished image, None before.
    """

    key: str
    ends: list[int] = []  # noqa: RUF012 - never changed
    summary: dict[str, Any] | None = None

    @property
    def rows_done(self) -> int:
        """Rows of pixels whose probability is written."""
        return self.ends[-1] if self.ends else 0


def job_key(path: pathlib.Path, settings: dict[str, Any]) -> str:
    """Digest of what an image's outputs depend on.

    Args:
      path: the input; each of its files (`open_source.files_of`) counts by its place, size and time of change.
      settings: JSON values; model and settings.
    """
    identity = [
        [str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in files_of(path)
    ]
    return hashlib.sha256(json.dumps([identity, settings], sort_keys=True).encode()).hexdigest()


def read_journal(path: pathlib.Path, key: str) -> Journal:
    """The journal of a job; an empty one if there is none, or that of another job."""
    try:
        stored = Journal(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Journal(key)
    return stored if stored.key == key else Journal(key)


def write_journal(path: pathlib.Path, journal: Journal) -> None:
    """Writes it at once."""
    write_json(path, journal._asdict())
