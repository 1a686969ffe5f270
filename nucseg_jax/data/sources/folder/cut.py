"""An image and its labels, row of patches by row: memory is one strip of the image beside its labels."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.sources.folder.grid import PatchGrid, reflected
from nucseg_jax.data.sources.folder.survey import Surveyed
from nucseg_jax.data.sources.patch import Patch
from nucseg_jax.images.open_source import open_source, refused
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.resample import ModelView
from nucseg_jax.images.source import RefusedImage

# Patches keep numbers of nuclei as uint16.
_MOST_NUCLEI = 65_535
# White of 9 to 15 bits in a file of 16 is no brighter; no stained section is as dark all over.
_DARK = 128


def patches_of(
    surveyed: Surveyed,
    *,
    class_number: Mapping[str | int | None, int],
    group: int,
    division: str,
    note: Callable[[str], None],
) -> Iterator[Patch]:
    """Gives the patches of an image, rows from the top, each from the left; those that are void all over are left out.

    Args:
      surveyed: the image.
      class_number: as `Annotation.draw` takes it.
      group, division: of the image.
      note: is called with each sentence that only reading the pixels brought up.

    Raises:
      UserError: the image cannot be decoded or is dark all over, its files are others than when they were looked at, or
        a patch holds more nuclei than can be numbered.
    """
    files, grid, side = surveyed.files, surveyed.grid, surveyed.grid.patch_px
    labels = surveyed.read_labels()
    source = open_source(files.image)
    try:
        if (source.height, source.width) != (surveyed.height, surveyed.width):
            raise RefusedImage(f"{files.image} changed while it was read", advice="rerun the same command")
        view = ModelView(source, grid.height, grid.width)
        brightest = 0
        for row, top in enumerate(grid.tops):
            if not surveyed.has_patch[row].any():
                continue
            drawn = surveyed.draw(labels, top, class_number=class_number)
            with refused(files.image):
                image = _read_reflected(view, grid, top)
            brightest = max(brightest, int(image.max()))
            label, number = _extended(grid, drawn.label, drawn.instance)
            for column, left in enumerate(grid.lefts):
                if not surveyed.has_patch[row, column]:
                    continue
                columns = np.s_[:, left : left + side]
                yield Patch(
                    image=np.ascontiguousarray(image[columns]),
                    label=np.ascontiguousarray(label[columns]),
                    instance=_renumbered(number[columns], str(files.label)),
                    group=group,
                    image_name=files.name,
                    top=top,
                    left=left,
                    division=division,
                )
        if brightest <= _DARK:
            raise UserError(
                f"{files.image}: its brightest value is {brightest} of 255",
                expected="stained tissue on a light ground",
                advice="if fewer bits are used than the file states, such as 12 of 16, save it with the full range",
            )
        for sentence in (*source.notes(), *take_warnings(files.image)):
            if sentence not in surveyed.notes:
                note(f"{files.name}: {sentence}")
    finally:
        source.close()


def _read_reflected(view: ModelView, grid: PatchGrid, top: int) -> np.ndarray:
    """Rows of a strip, uint8 [P, columns * P, 3], reflected beyond the lower and right edge of the whole image."""
    side = grid.patch_px
    end = min(top + side, grid.height)
    over = top + side - end
    # Rows above the strip, which come again below the edge.
    first = max(0, min(top, end - 1 - over)) if over else top
    pixels = view.read(first, 0, end - first, grid.width)
    pixels = reflected(pixels, over, _columns_over(grid))[top - first :]
    return pixels[:, : len(grid.lefts) * side]


def _extended(grid: PatchGrid, label: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both up to the size of the strip, void beyond the edges of the image."""
    extent = ((0, grid.patch_px - len(label)), (0, _columns_over(grid)))
    return np.pad(label, extent, constant_values=VOID_LABEL), np.pad(number, extent)


def _columns_over(grid: PatchGrid) -> int:
    return max(0, len(grid.lefts) * grid.patch_px - grid.width)


def _renumbered(number: np.ndarray, name: str) -> np.ndarray:
    """Numbers of a window as uint16 1..K in their order, 0 for none."""
    is_there: np.ndarray = np.zeros(int(number.max()) + 1, bool)
    is_there[number] = True
    is_there[0] = False
    new = np.cumsum(is_there)
    if new[-1] > _MOST_NUCLEI:
        raise UserError(
            f"{name} has {counted(int(new[-1]), 'nucleus')} in one patch",
            expected=f"at most {_MOST_NUCLEI:,}",
        )
    numbered: np.ndarray = np.where(is_there, new, 0).astype(np.uint16)[number]
    return numbered
