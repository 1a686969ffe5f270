"""Makes an annotation of outlines as they lie in a file: repaired, checked against the image and each other."""

from collections.abc import Sequence

import numpy as np
import shapely

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.nuclei import Annotation
from nucseg_jax.data.labels.outline_overlaps import interior_pairs
from nucseg_jax.data.labels.outline_repair import Outline, valid_outlines
from nucseg_jax.data.labels.outline_shapes import OutlineShapes
from nucseg_jax.images.source import LARGEST_SIDE_PX

_LEAST_VERTICES = 3
# Outlines this near to the image, in shares of its longer side, are slips of a pen.
_SLIP_SHARE = 0.02
# An outline with as many whole outlines inside is drawn around a region; one of a person with a detection inside, too.
_LEAST_COVERED = 3
# Rings that were repaired leave slivers beside the nucleus.
_SLIVER_SHARE = 0.05
# A nucleus is a small part of an image.
_LARGE_SHARE, _LARGE_PX = 0.2, 10_000


def ring_of(points: np.ndarray, place: str) -> np.ndarray | None:
    """The vertices of a ring, without repeats of one after another.

    Args:
      points: float64 [n, 2], x and y in px; closed or not.
      place: names it in the file.

    Returns:
      float64 [n, 2]; None for less than three different vertices.

    Raises:
      UserError: coordinates that are no numbers, or that no image has.
    """
    is_wrong = ~(np.abs(points) <= 2 * LARGEST_SIDE_PX).all(axis=1)
    if is_wrong.any():
        x, y = points[int(np.flatnonzero(is_wrong)[0])].tolist()
        raise UserError(
            f"{place} has the vertex {x:.6g}, {y:.6g}",
            expected=f"px within {2 * LARGEST_SIDE_PX:,} of the corner",
        )
    if len(points) < _LEAST_VERTICES:
        return None
    kept = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    return kept if len(kept) >= _LEAST_VERTICES else None


def outline_annotation(
    outlines: Sequence[Outline],
    image_height: int,
    image_width: int,
    *,
    regions: Sequence[Outline] = (),
    ignored: Sequence[Outline] = (),
    microns_per_px: float | None = None,
    notes: Sequence[str] = (),
) -> Annotation:
    """Makes an annotation of outlines.

    Rings that cross themselves are repaired so that all that they enclose is kept; outlines without an area, copies of
    another, and those that lie beside the image by a few px are left out, and counted in the notes.

    Args:
      outlines: of nuclei, in the order of the file.
      image_height, image_width: of the image, px.
      regions: what is annotated, () = everything; ignored: what is not.
      microns_per_px: of the image, if the file states it.
      notes: of the reader; those on outlines follow.

    Raises:
      UserError: an outline far outside the image, copies of one with different classes, or one around many others.
    """
    all_notes = list(notes)
    outlines = valid_outlines(outlines, all_notes)
    outlines = _inside(outlines, image_height, image_width, all_notes)
    outlines = _distinct(outlines, all_notes)
    _check_pairs(outlines, all_notes)
    _note_shapes(outlines, image_height * image_width, all_notes)
    regions = _whole_regions(regions, image_height, image_width, all_notes)
    ignored = _whole_regions(ignored, image_height, image_width, all_notes)
    if regions:
        annotated = shapely.union_all([each.geometry for each in regions])
        shapely.prepare(annotated)
        is_inside = shapely.intersects(annotated, [each.geometry for each in outlines])
        all_notes.append(f"{counted(len(regions), 'region')} annotated: everything outside is not")
        if (outside := len(outlines) - int(is_inside.sum())) > 0:
            all_notes.append(f"{counted(outside, 'nucleus')} outside of all regions, and not used")
    if ignored:
        all_notes.append(f"{counted(len(ignored), 'region')} ignored")
    shapes = OutlineShapes(
        tuple(each.geometry for each in outlines),
        tuple(each.geometry for each in regions),
        tuple(each.geometry for each in ignored),
        image_height,
        image_width,
    )
    return Annotation(
        shapes,
        tuple(each.class_name for each in outlines),
        has_void=bool(regions or ignored),
        microns_per_px=microns_per_px,
        notes=tuple(all_notes),
    )


def _whole_regions(outlines: Sequence[Outline], height: int, width: int, notes: list[str]) -> list[Outline]:
    """Returns regions, repaired.

    Raises:
      UserError: one has no area in the image; without it, other pixels would be annotated.
    """
    ignored_notes: list[str] = []
    kept = _inside(valid_outlines(outlines, notes), height, width, ignored_notes)
    places = {each.place for each in kept}
    for each in outlines:
        if each.place not in places:
            raise UserError(f"{each.place} has no area in the image", advice="draw it again, or delete it")
    return kept


def _inside(outlines: list[Outline], height: int, width: int, notes: list[str]) -> list[Outline]:
    """Outlines that share an area with the image."""
    if not outlines:
        return outlines
    bounds = shapely.bounds([each.geometry for each in outlines])
    left, top, right, bottom = bounds.T
    beyond_px = np.max([left - width, top - height, -right, -bottom], axis=0)
    if (is_far := beyond_px > _SLIP_SHARE * max(height, width)).any():
        first = int(np.flatnonzero(is_far)[0])
        raise UserError(
            f"{outlines[first].place} lies outside the image: x {left[first]:.1f} to {right[first]:.1f},"
            f" y {top[first]:.1f} to {bottom[first]:.1f}"
            + (f"; so do {int(is_far.sum()) - 1:,} more" if is_far.sum() > 1 else ""),
            expected=f"x within 0 to {width}, y within 0 to {height}, in px of the image",
            advice="make sure that the labels belong to this image, at its full resolution",
        )
    is_beside = beyond_px >= 0
    is_cut = ~is_beside & ((left < 0) | (top < 0) | (right > width) | (bottom > height))
    if is_beside.any():
        notes.append(f"{counted(int(is_beside.sum()), 'outline')} just beside the image left out")
    if is_cut.any():
        notes.append(f"{counted(int(is_cut.sum()), 'outline')} cut off at the edge of the image")
    return [outline for outline, beside in zip(outlines, is_beside, strict=True) if not beside]


def _distinct(outlines: list[Outline], notes: list[str]) -> list[Outline]:
    """Outlines without copies of the same."""
    first: dict[bytes, Outline] = {}
    keys = shapely.to_wkb(shapely.normalize([each.geometry for each in outlines]))
    for key, outline in zip(keys, outlines, strict=True):
        earlier = first.setdefault(key, outline)
        if earlier.class_name != outline.class_name:
            raise UserError(
                f"{earlier.place} and {outline.place} are the same outline with the classes"
                f" {earlier.class_name!r} and {outline.class_name!r}",
                expected="one class for a nucleus",
                advice="delete one of them",
            )
    if copies := len(outlines) - len(first):
        notes.append(f"{counted(copies, 'repeated outline')} left out")
    return list(first.values())


def _check_pairs(outlines: list[Outline], notes: list[str]) -> None:
    """Counts overlaps and finds outlines that are drawn around regions."""
    geometries: np.ndarray = np.array([each.geometry for each in outlines], object)
    pairs = interior_pairs(geometries)
    if not len(pairs):
        return
    around, inside = np.concatenate([pairs, pairs[:, ::-1]]).T
    is_covered = shapely.covers(geometries[around], geometries[inside])
    covered = np.bincount(around[is_covered], minlength=len(outlines))
    is_detected: np.ndarray = np.array([each.is_detected for each in outlines])
    # QuPath keeps the region that it searched as an annotation around its detections.
    is_region = is_covered & ~is_detected[around] & is_detected[inside]
    is_around = (covered >= _LEAST_COVERED) | (np.bincount(around[is_region], minlength=len(outlines)) > 0)
    if is_around.any():
        most = int(np.where(is_around, covered, 0).argmax())
        raise UserError(
            f"{outlines[most].place} lies around {counted(int(covered[most]), 'other outline')}",
            expected="an outline for each nucleus",
            advice="delete outlines of regions and tissue, or of the nuclei that it replaces; the annotated region gets"
            " the class 'Region*' in QuPath",
        )
    notes.append(f"{counted(len(pairs), 'pair')} of outlines overlap: the later one in the file wins")


def _note_shapes(outlines: list[Outline], image_px: int, notes: list[str]) -> None:
    geometries = [each.geometry for each in outlines]
    if split := sum(map(_is_split, geometries)):
        notes.append(f"{counted(split, 'nucleus')} not in one piece")
    for outline, area in zip(outlines, shapely.area(geometries), strict=True):
        if area > max(_LARGE_SHARE * image_px, _LARGE_PX):
            notes.append(
                f"{outline.place} takes {area / image_px:.0%} of the image: make sure that it is a nucleus"
            )


def _is_split(geometry: shapely.Geometry) -> bool:
    """Returns True for a nucleus of several pieces that are no slivers."""
    if shapely.get_num_geometries(geometry) == 1:
        return False
    return bool((shapely.area(shapely.get_parts(geometry)) > _SLIVER_SHARE * geometry.area).sum() > 1)
