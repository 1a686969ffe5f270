"""Files of an image in other formats; those that are there and whole are left alone."""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping

from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.table import Format
from nucseg_jax.inference.output.journal import altered_outputs, output_digests


def write_formats(
    image: FinishedImage, formats: Mapping[str, Format], folder: pathlib.Path, options: Options
) -> Iterator[tuple[pathlib.Path, bool]]:
    """Writes the files of an image one by one.

    A file is left alone while it is as it was written, from the same input and options.

    Args:
      image: a finished one.
      formats: by name.
      folder: to write to, which exists.
      options: choices that the files depend on.

    Yields:
      Each file, and True if it was written, False if it was left alone.

    Raises:
      UserError: the image's own files cannot be used, or a format cannot hold it.
      OSError: the folder cannot be written.
    """
    journal = folder / f".{image.files.stem}.formats.json"
    written = _read(journal)
    source = _digest_of_input(image)
    for name, form in formats.items():
        path = folder / f"{image.files.stem}.{form.ending}"
        key = _key(source, form, options)
        known = written.get(name, {})
        if known.get("key") == key and not altered_outputs([path], {path.name: str(known.get("digest"))}):
            yield path, False
            continue
        form.writer()(image, path, options)
        written[name] = {"key": key, "digest": output_digests([path])[path.name]}
        write_json(journal, sealed(written))
        yield path, True


def _read(journal: pathlib.Path) -> JsonObject:
    """Returns what was written before by the names of formats; nothing where that is not known."""
    try:
        written = unsealed(read_json(journal))
        return {name: dict(about) for name, about in written.items()}
    # Anything may stand there.
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _digest_of_input(image: FinishedImage) -> str:
    files = image.files
    digests = output_digests([files.geojson, files.parquet, files.probability])
    facts = [image.input.name, image.height, image.width, image.microns_per_px, list(image.class_names)]
    return _digest([digests, facts])


def _key(source: str, form: Format, options: Options) -> str:
    return _digest([source, form.version, options.simplify_px if form.has_outlines else 0.0])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
