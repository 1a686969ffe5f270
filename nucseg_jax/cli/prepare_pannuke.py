"""`prepare` of PanNuke, or of a synthetic release in its place."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from nucseg_jax.cli.prepared_dataset import PreparedDataset, another_data_set, require_no_other
from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.download import download
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import audit_table, build, facts, origin
from nucseg_jax.data.sources.pannuke.layout import read_facts
from nucseg_jax.data.store.location import PANNUKE, dataset_folder
from nucseg_jax.data.store.workspace import scratch


def prepare_pannuke(source: DataConfig) -> PreparedDataset:
    """Prepares the data set, or reports that it exists; prints what it holds beside the published figures.

    Args:
      source: the source of the patches and the place of the data set.

    Raises:
      UserError: the source is at fault, the disk is full, or its place holds another data set.
    """
    folder = dataset_folder(source.prepared_folder)
    require_no_other(source.prepared_folder, PANNUKE, origin.describe_source(source))
    if folder.exists():
        audit = _require_equal(audits.load(folder), source)
        print(f"Already prepared ({origin.describe(audit.origin)}); nothing to do.")
    else:
        print(f"Preparing patches: {origin.describe_source(source)}.")
        expected = origin.of_source(source)  # Looks for the release before anything is made.
        with (
            scratch(source.prepared_folder) as scratch_folder,
            _release_of(source, scratch_folder / "release") as release_dir,
        ):
            audit = build.build(
                release_dir,
                source.prepared_folder,
                expected,
                scratch_folder,
                # The archives are the ones their authors published; what they share is named.
                allow_duplicates=source.allow_duplicates or source.source == "download",
            )
    print(f"\n{audit_table.render(audit)}\n")
    return PreparedDataset(folder, read_facts(folder).info, audit.digest)


@contextlib.contextmanager
def _release_of(source: DataConfig, drawn: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the release folder of a source: downloaded, synthetic (in `drawn`), or given."""
    if source.source == "download":
        folder = source.prepared_folder / "downloads"
        print(f"\nLicence of the data: {facts.LICENSE}\n\n{facts.CITATION}\n")
        download(
            facts.ARCHIVES,
            folder,
            noun="archive",
            by_hand="download the archives in a browser and use --config.data.source=release"
            " --config.data.release_dir=FOLDER",
            elsewhere="choose another --config.data.dir",
        )
        # The archives alone, whose digests were compared, and not what else is there by now.
        drawn.mkdir()
        for archive in facts.ARCHIVES:
            (drawn / archive.name).symlink_to((folder / archive.name).absolute())
        yield drawn
        print(f"The archives in {folder} are no longer needed; keep them to save another download.")
    elif source.source == "synthetic":
        from nucseg_jax.data.sources.pannuke import synthetic  # Only this source needs it.

        synthetic.write_release(
            drawn, patches_per_fold=source.synthetic_patches_per_fold, seed=source.synthetic_seed
        )
        yield drawn
    else:
        assert source.release_folder is not None  # `check_source` requires it.
        yield source.release_folder


def _require_equal(audit: audits.Audit, source: DataConfig) -> audits.Audit:
    """Returns the audit of the existing data set; raises UserError if the source gives another."""
    if origin.is_gone(audit.origin, source):
        print(f"{source.release_folder} no longer exists; the data set prepared from it does.")
        return audit
    expected = origin.of_source(source)
    if audit.origin == expected:
        return audit
    difference = ""
    if origin.may_be_equal(audit.origin, source):
        print("A data set exists already. Comparing the source with it.")
        with (
            scratch(source.prepared_folder) as scratch_folder,
            _release_of(source, scratch_folder / "release") as release_dir,
        ):
            given = build.audit_of_release(release_dir, expected)
        if given.digest == audit.digest:
            if audit.origin["kind"] == source.source:
                audit = dataclasses.replace(audit, origin=expected)
                audit.save(dataset_folder(source.prepared_folder))  # The next time need not read it again.
            return audit
        differing = [
            str(fold) for fold in audit.folds if given.folds[fold].digest != audit.folds[fold].digest
        ]
        difference = f" The content of fold {', '.join(differing)} differs."
    raise another_data_set(
        dataset_folder(source.prepared_folder),
        origin.describe(audit.origin),
        audit.patches,
        origin.describe_source(source),
        difference,
    )
