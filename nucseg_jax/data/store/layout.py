"""The seam of stored data sets: what the reader must know of one, whichever builder wrote it."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex


@dataclasses.dataclass(frozen=True)
class StoredFacts:
    """All that lies beside the records of a data set, read and found unaltered.

    Attributes:
      info: names, sizes and scale.
      index: where every patch comes from.
      digest: SHA-256 of the content, 64 hexadecimal digits.
      near_duplicates: int32 [D, 4], see `StoredDataset`.
      files: SHA-256 of the record files by name; empty for a data set of before they were taken.
      origin: what it was prepared from, as JSON values.
      described: the origin in a few words, for a person.
    """

    info: DatasetInfo
    index: PatchIndex
    digest: str
    near_duplicates: np.ndarray
    files: Mapping[str, str]
    origin: JsonObject
    described: str


# A record as TensorFlow Datasets decodes it.
Example = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of one builder.

    Attributes:
      name: of the builder, and of the folder below the data folder.
      group_feature: name under which records hold the position of their group.
      read_facts: reads what lies beside the records of a data set's folder; raises UserError if it is damaged.
      digest_of: the content's digest from the examples of every part, in order, and what lies beside them.
    """

    name: str
    group_feature: str
    read_facts: Callable[[pathlib.Path], StoredFacts]
    digest_of: Callable[[Iterable[Iterator[Example]], StoredFacts], str]
