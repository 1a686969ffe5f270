"""`launch.py prepare`: PanNuke, or a stand-in for it, from its source to a data set on disk."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from nucseg_jax.core.counted import counted
from nucseg_jax.core.download import download
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import audit_table, build, facts, origin
from nucseg_jax.data.sources.settings import DataSource
from nucseg_jax.data.store.location import dataset_folder
from nucseg_jax.data.store.workspace import scratch


def prepare(source: DataSource) -> None:
    """Prepares the data set of a source, or says that it is there already.

    The data set appears whole or not at all, whenever the process ends. What it holds is printed next to the
    published figures and kept in `audit.json`.

    Args:
      source: where the patches come from and where the data set goes.

    Raises:
      UserError: the source is at fault, the disk is full, or another data set lies in its place.
    """
    folder = dataset_folder(source.data_dir)
    if folder.exists():
        audit = _require_equal(audits.load(folder), source)
        print(f"Already prepared ({origin.describe(audit.origin)}); nothing to do.")
    else:
        print(f"Preparing patches: {origin.describe_source(source)}.")
        wanted = origin.of_source(source)  # Looks for the release before anything is made.
        with (
            scratch(source.data_dir) as scratch_folder,
            _release_of(source, scratch_folder / "release") as release_dir,
        ):
            audit = build.build(
                release_dir,
                source.data_dir,
                wanted,
                scratch_folder,
                # The archives are the ones their authors published; what they share is named.
                allow_duplicates=source.allow_duplicates or source.source == "download",
            )
    print(f"\n{audit_table.render(audit)}\n")
    print(f"Data set: {folder}\nContent:  SHA-256 {audit.digest}")
    print("Next:     python launch.py train --config=... --workdir=runs/first")


@contextlib.contextmanager
def _release_of(source: DataSource, drawn: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folder of the release that a source stands for: fetched or painted (then `drawn`), or named."""
    if source.source == "download":
        folder = source.data_dir / "downloads"
        print(f"\nLicence of the data: {facts.LICENSE}\n\n{facts.CITATION}\n")
        download(
            facts.ARCHIVES,
            folder,
            noun="archive",
            by_hand="download the archives in a browser and use --config.data.source=release"
            " --config.data.release_dir=FOLDER",
            elsewhere="choose another --config.data.dir",
        )
        # The archives alone, whose digests were compared, and not what else lies there by now.
        drawn.mkdir()
        for archive in facts.ARCHIVES:
            (drawn / archive.name).symlink_to((folder / archive.name).absolute())
        yield drawn
        print(f"The archives in {folder} are not needed any more; kept, they save the next download.")
    elif source.source == "synthetic":
        from nucseg_jax.data.sources.pannuke import synthetic  # Only this source needs it.

        synthetic.write_release(
            drawn, patches_per_fold=source.synthetic_patches_per_fold, seed=source.synthetic_seed
        )
        yield drawn
    else:
        assert source.release_dir is not None  # DataSource saw to it.
        yield source.release_dir


def _require_equal(audit: audits.Audit, source: DataSource) -> audits.Audit:
    """Returns the audit of the data set that is there, if it is what the source gives."""
    if origin.is_gone(audit.origin, source):
        print(f"{source.release_dir} is not there any more; the data set prepared from it is.")
        return audit
    wanted = origin.of_source(source)
    if audit.origin == wanted:
        return audit
    difference = ""
    if origin.may_be_equal(audit.origin, source):
        print("A data set is there already. Reading the source to see whether it is the same.")
        with (
            scratch(source.data_dir) as scratch_folder,
            _release_of(source, scratch_folder / "release") as release_dir,
        ):
            given = build.audit_of_release(release_dir, wanted)
        if given.digest == audit.digest:
            if audit.origin["kind"] == source.source:
                audit = dataclasses.replace(audit, origin=wanted)
                audit.save(dataset_folder(source.data_dir))  # The next time need not read it again.
            return audit
        differing = [
            str(fold) for fold in audit.folds if given.folds[fold].digest != audit.folds[fold].digest
        ]
        difference = f" The content of fold {', '.join(differing)} differs."
    folder = dataset_folder(source.data_dir)
    raise UserError(
        f"{folder} holds another data set: {origin.describe(audit.origin)},"
        f" {counted(audit.patches, 'patch')}.{difference}",
        expected=origin.describe_source(source),
        advice=f"choose another --config.data.dir, or remove {folder}, and run the same command again",
    )
