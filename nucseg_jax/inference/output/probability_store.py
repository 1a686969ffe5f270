"""The maps of an image as a Zarr group: probability, nuclei, classes; written band by band.

Probability is kept in 255ths, the nearest one on the threshold's own side (`ops.levels`): at the threshold t that
the maps were made with, `probability` >= `lowest_nucleus_level` = floor(255 t) + 1 exactly where the model's > t. At
another threshold pixels within 1 / 255 of it may fall on either side.
"""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Sequence

import numpy as np
import zarr

from nucseg_jax.core.files import remove_whole, sync_below
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule

PROBABILITY, NUCLEUS, CLASS = "probability", "nucleus", "class"
# Of an image that is not finished.
MAPS, CLASS_LEVELS = "maps", "class_levels"
# Names of arrays by fields of `Band`.
_ARRAYS = {"level": PROBABILITY, "classes": CLASS, "maps": MAPS, "class_levels": CLASS_LEVELS}
# A band is lower than a tile; wide chunks keep the number of files low. Chunks of zeros are not written.
_CHUNKS = (256, 2048)


@dataclasses.dataclass(frozen=True)
class ProbabilityStore:
    """A group of arrays [H, W] at full resolution.

    Attributes:
      path: the folder.
      group: holds `probability` uint8 in 255ths, `nucleus` uint32 numbers as in the tables with 0 for background, and
        for models with classes `class` uint8, the likeliest of 1..C whatever its probability: a pixel's class where
        it is nucleus. Its attributes tell the resolution, the threshold, the lowest level that is nucleus and the
        names of classes.
    """

    path: pathlib.Path
    group: zarr.Group

    @classmethod
    def create(
        cls,
        path: pathlib.Path,
        height: int,
        width: int,
        *,
        microns_per_px: float,
        class_names: Sequence[str],
        rule: NucleusRule,
        map_channels: int = 0,
    ) -> "ProbabilityStore":
        """Makes a new one in place of what is there; without names of classes there is no `class`.

        Maps of an instance head, `map_channels` of them, are kept too, whether the rule looks at them or not, and with
        them the probability of each class, until it is published: an image that was stopped finds its nuclei again.
        """
        remove_whole(path)
        group = zarr.create_group(path)
        group.attrs.update(
            {
                "microns_per_px": microns_per_px,
                PROBABILITY: "255ths",
                "threshold": rule.threshold,
                "lowest_nucleus_level": rule.threshold_level,
                **({"classes": list(class_names)} if class_names else {}),
            }
        )
        classes, maps = len(class_names), map_channels
        arrays: dict[str, tuple[type, int]] = {PROBABILITY: (np.uint8, 0), NUCLEUS: (np.uint32, 0)}
        if classes:
            arrays[CLASS] = (np.uint8, 0)
        if maps:
            arrays[MAPS] = (np.int8, maps)
        if classes and maps:
            arrays[CLASS_LEVELS] = (np.uint8, classes)
        chunks = (min(_CHUNKS[0], height), min(_CHUNKS[1], width))
        for name, (dtype, channels) in arrays.items():
            last = (channels,) if channels else ()
            group.create_array(
                name, shape=(height, width, *last), chunks=(*chunks, *last), dtype=dtype, fill_value=0
            )
        return cls(path, group)

    @classmethod
    def reopen(cls, path: pathlib.Path) -> "ProbabilityStore":
        """One that is there, to be written further."""
        if path.is_symlink():
            raise OSError(f"{path} is a link, which is not written through")
        return cls(path, zarr.open_group(path, mode="r+"))

    @property
    def nucleus(self) -> zarr.Array:
        """The numbers of nuclei, uint32 [H, W]."""
        return self._array(NUCLEUS)

    def _array(self, name: str) -> zarr.Array:
        array = self.group[name]
        assert isinstance(array, zarr.Array)
        return array

    def write(self, top: int, band: Band) -> None:
        """Writes the rows of a band; they are on the disk when this returns."""
        rows = slice(top, top + len(band.level))
        for field, values in band.present():
            name = _ARRAYS[field]
            self._array(name)[rows] = values
            height = self._array(name).chunks[0]
            for row in range(rows.start // height, (rows.stop - 1) // height + 1):
                sync_below(self.path / name / "c" / str(row))

    def read(self, top: int, end: int) -> Band:
        """Reads rows as they were written."""
        return Band(
            **{
                field: np.asarray(self._array(name)[top:end])
                for field, name in _ARRAYS.items()
                if name in self.group
            }
        )

    def publish(self, path: pathlib.Path) -> None:
        """Gives the folder its final name, all of it on the disk; what had it before goes away."""
        for name in (MAPS, CLASS_LEVELS):
            if name in self.group:
                del self.group[name]
        sync_below(self.path)
        remove_whole(path)
        self.path.replace(path)


def band_digest(band: Band) -> str:
    """Computes a SHA-256 of rows as they are written and read: in a store, a chunk that is gone reads as zeros."""
    digest = hashlib.sha256(repr(band.level.shape).encode())
    for _, rows in band.present():
        digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()


def intact_bands(path: pathlib.Path, ends: Sequence[int], digests: Sequence[str]) -> tuple[int, ...]:
    """Returns the ends of the first bands of a store, as many as read as they were written.

    Args:
      path: the folder of an unfinished image; anything may have happened to it.
      ends: rows at which its bands end.
      digests: of each band; see `band_digest`.
    """
    intact: list[int] = []
    try:
        store = ProbabilityStore.reopen(path)
        for (top, end), digest in zip(itertools.pairwise((0, *ends)), digests, strict=True):
            if band_digest(store.read(top, end)) != digest:
                break
            intact.append(end)
    except Exception:  # Zarr meets damage with errors of every kind; the rest is computed again.
        pass
    return tuple(intact)
