"""A prepared data set, and the refusal of another one in its place."""

import pathlib
from typing import NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.store.layouts import layout_of
from nucseg_jax.data.store.location import dataset_folder, names_in


class PreparedDataset(NamedTuple):
    """A data set on disk.

    Attributes:
      folder: of its records.
      info: names, sizes and scale.
      digest: of its content.
      contact_sheet: a picture of some patches; None without one.
    """

    folder: pathlib.Path
    info: DatasetInfo
    digest: str
    contact_sheet: pathlib.Path | None = None


def require_no_other(data_dir: pathlib.Path, name: str, expected: str) -> None:
    """Refuses a data folder that holds a data set of another builder, which readers could confuse with this one.

    Args:
      data_dir: the data folder.
      name: of the builder at work.
      expected: the source, for a person.

    Raises:
      UserError: there is one.
    """
    for other in names_in(data_dir):
        if other != name:
            folder = dataset_folder(data_dir, other)
            facts = layout_of(other).read_facts(folder)
            raise another_data_set(folder, facts.described, len(facts.index.fold), expected)


def another_data_set(
    folder: pathlib.Path, described: str, patches: int, expected: str, difference: str = ""
) -> UserError:
    """Returns the error for another data set in the place of the one to prepare."""
    return UserError(
        f"{folder} holds another data set: {described}, {counted(patches, 'patch')}.{difference}",
        expected=expected,
        advice=f"choose another --config.data.dir, or remove {folder}, and rerun the same command",
    )
