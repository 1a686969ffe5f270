"""`prepare` of images and labels: a lab's own folder, CoNSeP, MoNuSeg."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.cli.prepared_dataset import PreparedDataset, another_data_set, require_no_other
from nucseg_jax.config.data import DataConfig
from nucseg_jax.data.sources.patch import OpenedSource
from nucseg_jax.data.sources.table import Open
from nucseg_jax.data.store import audit_table
from nucseg_jax.data.store.audit import Audit, load_audit
from nucseg_jax.data.store.build import CONTACT_SHEET, build, digest_of_source
from nucseg_jax.data.store.location import NUCLEI, dataset_folder
from nucseg_jax.data.store.nuclei_layout import describe_origin, read_facts
from nucseg_jax.data.store.workspace import scratch

_FILES = "files"
_MOST_NAMED = 5


def prepare_images(source: DataConfig, open_source: Open) -> PreparedDataset:
    """Prepares the data set, or reports that it exists; prints what it holds.

    Args:
      source: the source of the images and the place of the data set.
      open_source: opens the source.

    Raises:
      UserError: the source is at fault, the disk is full, or its place holds another data set.
    """
    folder = dataset_folder(source.prepared_folder, NUCLEI)
    expected = f"{source.source} in {source.release_folder}"
    require_no_other(source.prepared_folder, NUCLEI, expected)
    if folder.exists():
        audit = load_audit(folder)
        if _is_gone(audit, source):
            print(f"{source.release_folder} no longer exists; the data set prepared from it does.")
        else:
            audit = _require_equal(audit, open_source(source), source, folder)
        print(f"Already prepared ({describe_origin(audit.origin)}); nothing to do.")
    else:
        print(f"Preparing patches: {expected}.")
        opened = open_source(source)  # Headers are checked before anything is written.
        for sentence in opened.described:
            print(f"  {sentence}")
        with scratch(source.prepared_folder) as scratch_folder:
            from nucseg_jax.data.sources.contact_sheet import contact_sheet  # Only here, with its fonts.

            audit = build(opened, source.prepared_folder, scratch_folder, draw_sheet=contact_sheet)
        for note in opened.notes():
            print(f"  {note}")
    facts = read_facts(folder)
    print(f"\n{audit_table.render(audit, facts.info, facts.index)}\n")
    sheet = folder / CONTACT_SHEET
    return PreparedDataset(folder, facts.info, facts.digest, sheet if sheet.exists() else None)


def differences(there: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Names what differs in two origins, for a person.

    Args:
      there: the origin of the existing data set.
      given: that of the source.

    >>> differences({"patch_px": 256, "files": [["a.png", 5, 1]]}, {"patch_px": 128, "files": [["b.png", 5, 1]]})
    ['patch_px is 128, and was 256', 'b.png is new', 'a.png is gone']
    """
    names = [name for name in dict.fromkeys([*given, *there]) if name != _FILES]
    found = [
        f"{name} is {given.get(name)!r}, and was {there.get(name)!r}"
        for name in names
        if given.get(name) != there.get(name)
    ]
    now, before = ({row[0]: list(row) for row in origin.get(_FILES, ())} for origin in (given, there))
    changed = [
        *(f"{name} is new" for name in now if name not in before),
        *(f"{name} is gone" for name in before if name not in now),
        *(f"{name} was written to" for name in now if name in before and now[name] != before[name]),
    ]
    more = [f"{len(changed) - _MOST_NAMED:,} more such files"] if len(changed) > _MOST_NAMED else []
    return [*found, *changed[:_MOST_NAMED], *more]


def _require_equal(audit: Audit, opened: OpenedSource, source: DataConfig, folder: pathlib.Path) -> Audit:
    """Returns the audit of the existing data set; raises UserError if the source gives another."""
    given = _as_json(opened.origin)
    differing = differences(audit.origin, given)
    if not differing and audit.origin == given:
        return audit
    content = ""
    if _differs_in_files_alone(audit.origin, given) and opened.patch_count == audit.patches:
        # A copy of the folder, or files that were saved again.
        print("A data set exists already. Comparing the source with it.")
        with scratch(source.prepared_folder) as scratch_folder:
            if digest_of_source(opened, scratch_folder) == audit.digest:
                audit = dataclasses.replace(audit, origin=given)
                audit.save(folder)  # The next time need not read it again.
                return audit
        content = " The content differs."
    raise another_data_set(
        folder,
        describe_origin(audit.origin),
        audit.patches,
        f"{source.source} in {source.release_folder}",
        f"{content} {_listed(differing)}.",
    )


def _differs_in_files_alone(there: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Returns True if all settings are equal, so that only the content can differ."""
    where = (_FILES, "release_dir")
    return {name: there[name] for name in there if name not in where} == {
        name: given[name] for name in given if name not in where
    }


def _is_gone(audit: Audit, source: DataConfig) -> bool:
    """Returns True if the data set came from this very folder, and the folder has been removed since."""
    return (
        audit.origin.get("kind") == source.source
        and source.release_folder is not None
        and not source.release_folder.exists()
        and audit.origin.get("release_dir") == str(source.release_folder.resolve())
    )


def _as_json(value: Any) -> Any:
    """Returns lists in place of tuples, as JSON does."""
    if isinstance(value, Mapping):
        return {name: _as_json(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(each) for each in value]
    return value


def _listed(differing: Sequence[str]) -> str:
    return "What differs: " + ", ".join(differing or ["a setting"])
