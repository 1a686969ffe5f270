"""The files of the builder `Nuclei`."""

import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.dataset_info import FILE_NAME as DESCRIPTION
from nucseg_jax.data.dataset_info import read_info
from nucseg_jax.data.store import index_file
from nucseg_jax.data.store.audit import ContentDigest, combined_digest, load_audit, place_bytes
from nucseg_jax.data.store.layout import Example, Layout, StoredFacts
from nucseg_jax.data.store.location import NUCLEI
from nucseg_jax.data.store.stored_files import damaged, require_unaltered


def read_facts(folder: pathlib.Path) -> StoredFacts:
    """Reads description, index and audit of a data set's folder.

    Raises:
      UserError: one is missing, or is not as it was written.
    """
    audit = load_audit(folder)
    beside = (DESCRIPTION, index_file.FILE_NAME)
    if not set(beside) <= set(audit.files):
        raise damaged(folder, f"audit.json has no checksum of {' or '.join(beside)}")
    require_unaltered(folder, audit.files, beside)
    info = read_info(folder)
    assert info is not None  # Its checksum was compared.
    index = index_file.read_index(folder, info)
    if index.fold_sizes != audit.part_sizes:
        raise damaged(folder, f"{index_file.FILE_NAME} and audit.json disagree on the number of patches")
    return StoredFacts(
        info=info,
        index=index,
        digest=audit.digest,
        near_duplicates=np.array(audit.near_duplicates, np.int32).reshape(-1, 4),
        files=audit.files,
        origin=audit.origin,
        described=describe_origin(audit.origin),
    )


def describe_origin(origin: JsonObject) -> str:
    """Describes an origin in a few words, for a person."""
    place = f" in {origin['release_dir']}" if origin.get("release_dir") else ""
    return f"{origin.get('kind', 'a source that was not recorded')}{place}"


def digest_of(parts: Iterable[Iterator[Example]], facts: StoredFacts) -> str:
    """Computes the digest that `Audit.digest` must be; group and place come from the index."""
    index, info, patch, digests = facts.index, facts.info, 0, []
    assert index.group is not None  # `read_index` saw to it.
    for examples in parts:
        digest = ContentDigest()
        for example in examples:
            group = info.groups[int(example["group"])]
            top, left = int(index.top[patch]), int(index.left[patch])
            place = place_bytes(group, index.image[patch], top, left, index.division[patch])
            digest.add(example["image"], example["label"], example["instance"], place)
            patch += 1
        digests.append(digest.hexdigest())
    return combined_digest(digests, info)


NUCLEI_LAYOUT = Layout(NUCLEI, "group", read_facts, digest_of)
