"""The report that `convert` writes beside the checkpoint: the origin of every value."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.models.pyramid import Extent

REPORT = "report.json"
FORMAT_VERSION = 1
DECODER_AND_HEAD = "decoder and head: always"


@dataclasses.dataclass(frozen=True)
class Source:
    """The file that the values come from.

    Attributes:
      name: without its folder.
      size_bytes, sha256: of its content.
      kind: in words.
      framework: 'keras' or 'torch'.
      url: where `--source=download` had it from; empty for a file of the user's.
    """

    name: str
    size_bytes: int
    sha256: str
    kind: str
    framework: str
    url: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """Content of `report.json`.

    Attributes:
      format_version: of this file and the checkpoint beside it.
      encoder: a key of `ENCODERS`.
      extent: how much of the encoder is there.
      preprocessing: what happens to raw RGB with these weights; an EfficientNet's numbers come from the file.
      source: the file.
      values: how many numbers there are.
      digest: SHA-256 over names, shapes and bytes of all arrays.
      mapped: name here, name in the file and shape of every array.
      not_used: what the file holds beyond.
      stays_at_initialisation: what a model has beyond: layers of the whole encoder, decoder and head.
      conversions: what was done to arrays on the way, in words.
      notes: what the file could not say, in words.
    """

    encoder: str
    extent: Extent
    preprocessing: Preprocessing
    source: Source
    values: int
    digest: str
    mapped: tuple[Mapping[str, object], ...]
    not_used: tuple[str, ...]
    stays_at_initialisation: tuple[str, ...]
    conversions: tuple[str, ...]
    notes: tuple[str, ...]
    format_version: int = FORMAT_VERSION

    def as_json(self) -> JsonObject:
        """JSON values; the version first."""
        fields = dataclasses.asdict(self)
        return {"format_version": fields.pop("format_version"), **fields}


def read_report(folder: pathlib.Path) -> Report:
    """Reads the report of a folder that `convert` wrote.

    Args:
      folder: the folder; must be one.

    Raises:
      UserError: there is none, it was altered, or a newer version wrote it.
    """
    path = folder / REPORT
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        version = fields["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise UserError(
                f"{path} has format {version}, this program knows formats up to {FORMAT_VERSION}.",
                advice="update nucseg_jax, or convert the source again with this version",
            )
        preprocessing: JsonObject = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields["preprocessing"].items()
        }
        lists = {
            name: tuple(fields[name])
            for name in ("mapped", "not_used", "stays_at_initialisation", "conversions", "notes")
        }
        return Report(
            **{
                **fields,
                **lists,
                "preprocessing": Preprocessing(**preprocessing),
                "source": Source(**fields["source"]),
            }
        )
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(
            f"{folder} has no {REPORT}; it is not what `convert` writes.",
            expected=f"the --out of {PROGRAM} convert --encoder=... --source=... --out=DIR",
            advice=f"name its parent {folder.parent}"
            if (folder.parent / REPORT).exists()
            else "run convert and name its --out",
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}.", expected="a readable file"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged: {reason_of(error)}.",
            expected="the file that convert wrote",
            advice=f"remove {folder} and convert again",
        ) from error
