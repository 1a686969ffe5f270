"""Provenance of a data set, and the check that a prepared one is what a source would give.

An origin is a JSON object that the audit keeps. Equal origins mean equal content without reading a patch: a
release is known by the names, sizes and times of its files, a synthetic one by its parameters and the program
that draws it, a download by its checksums. Where they differ, content decides.
"""

import hashlib
import pathlib

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.sources.pannuke import facts, release


def of_source(source: DataConfig) -> JsonObject:
    """The origin that a data set prepared from this source has.

    Args:
      source: the source; a release folder must be there.

    Returns:
      JSON values; `kind` is the source's.

    Raises:
      UserError: the release is not complete.
    """
    if source.source == "download":
        return {"kind": "download", "archives": {archive.name: archive.digest for archive in facts.ARCHIVES}}
    if source.source == "synthetic":
        return {
            "kind": "synthetic",
            "patches_per_fold": source.synthetic_patches_per_fold,
            "seed": source.synthetic_seed,
            "program_sha256": _synthetic_program_sha256(),
        }
    assert source.release_folder is not None  # `check_source` requires it.
    return {
        "kind": "release",
        "release_dir": str(source.release_folder.resolve()),
        "files": [
            [str(path.relative_to(source.release_folder)), path.stat().st_size, path.stat().st_mtime_ns]
            for files in release.find(source.release_folder)
            for path in files.paths
        ],
    }


def describe(origin: JsonObject) -> str:
    """An origin in a few words, for a person."""
    if origin["kind"] == "synthetic":
        return f"synthetic, {origin['patches_per_fold']} patches a fold, seed {origin['seed']}"
    if origin["kind"] == "release":
        return f"release in {origin.get('release_dir', 'a folder that was not recorded')}"
    return "download of the official archives"


def describe_source(source: DataConfig) -> str:
    """A source in the words of `describe`."""
    if source.source == "synthetic":
        return f"synthetic, {source.synthetic_patches_per_fold} patches a fold, seed {source.synthetic_seed}"
    if source.source == "release":
        return f"release in {source.release_folder}"
    return "download of the official archives"


def is_gone(origin: JsonObject, source: DataConfig) -> bool:
    """Returns True if the data set came from this very release folder, and the folder has been removed since."""
    return bool(
        source.source == origin["kind"] == "release"
        and source.release_folder is not None
        and not source.release_folder.exists()
        and origin.get("release_dir") == str(source.release_folder.resolve())
    )


def may_be_equal(origin: JsonObject, source: DataConfig) -> bool:
    """Returns True if reading what the source gives could show a data set of another origin to be equal."""
    if source.source == "synthetic":
        return bool(
            origin["kind"] == "synthetic"
            and origin["patches_per_fold"] == source.synthetic_patches_per_fold
            and origin["seed"] == source.synthetic_seed
        )
    # A release folder may hold the downloaded archives. The reverse would need a download to find out.
    return source.source == "release" and bool(origin["kind"] != "synthetic")


def _synthetic_program_sha256() -> str:
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("synthetic*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
