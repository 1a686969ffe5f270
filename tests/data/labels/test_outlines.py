import numpy as np
import pytest
import shapely

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.outline_repair import Outline
from nucseg_jax.data.labels.outlines import outline_annotation
from tests.data.labels.label_files import drawn


def annotated(*geometries, names=None, **more):
    names = names or [None] * len(geometries)
    pairs = enumerate(zip(geometries, names, strict=True), start=1)
    outlines = [Outline(geometry, f"outline {number}", name) for number, (geometry, name) in pairs]
    return outline_annotation(outlines, 100, 100, **more)


def area(annotation) -> int:
    return np.count_nonzero(drawn(annotation).instance)


def test_a_ring_that_crosses_itself_keeps_all_that_it_encloses():
    bow_tie = shapely.Polygon([(0, 0), (20, 20), (20, 0), (0, 20)])
    annotation = annotated(bow_tie)
    assert abs(area(annotation) - 200) <= 20
    assert annotation.notes[0] == "1 outline repaired that crossed or touched themselves"
    # A loop that goes over a part twice: even and odd would cut that part out.
    twice = shapely.Polygon([(0, 0), (30, 0), (30, 20), (10, 20), (10, 10), (20, 10), (20, 30), (0, 30)])
    assert not twice.is_valid
    assert (
        area(annotated(twice))
        == shapely.union_all([shapely.make_valid(twice), shapely.box(10, 10, 20, 20)]).area
    )


def test_slivers_of_a_repair_are_no_pieces():
    spike = shapely.Polygon([(10, 10), (20, 10), (20, 20), (21, 21), (20.9, 21), (20, 20), (10, 20)])
    assert annotated(spike).notes == ("1 outline repaired that crossed or touched themselves",)


def test_a_ring_that_crosses_itself_everywhere_is_refused_within_seconds():
    scribble = shapely.Polygon(np.random.default_rng(0).random((5000, 2)) * 100)
    with pytest.raises(UserError, match="outline 1 crosses itself in many places"):
        annotated(scribble)


def test_a_long_outline_with_one_crossing_is_repaired():
    angle = np.linspace(0, 2 * np.pi, 4000)
    ring = np.stack([50 + 40 * np.cos(angle), 50 + 40 * np.sin(angle)], axis=1)
    ring[[1000, 1001]] = ring[[1001, 1000]]
    assert abs(area(annotated(shapely.Polygon(ring))) - np.pi * 40**2) < 20


def test_outlines_at_the_edge_are_cut_and_those_beside_it_left_out():
    annotation = annotated(
        shapely.box(-5, 10, 5, 20), shapely.box(100, 50, 101.5, 55), shapely.box(95, 95, 130, 130)
    )
    assert np.bincount(drawn(annotation).instance.ravel())[1:].tolist() == [50, 25]
    assert annotation.notes == (
        "1 outline just beside the image left out",
        "2 outlines cut off at the edge of the image",
    )


@pytest.mark.parametrize(
    "box",
    [(103, 0, 110, 9), (0, 103, 9, 110), (-20, 0, -3, 9), (0, -20, 9, -3)],
    ids=["right", "below", "left", "above"],
)
def test_an_outline_outside_the_image_is_refused(box):
    with pytest.raises(UserError, match="outline 2 lies outside the image"):
        annotated(shapely.box(1, 1, 5, 5), shapely.box(*box))


def test_repeated_outlines_are_one_nucleus_of_one_class():
    box, same = shapely.box(0, 0, 9, 9), shapely.Polygon([(9, 9), (0, 9), (0, 0), (9, 0)])
    annotation = annotated(box, same, shapely.box(20, 0, 29, 9), names=["a", "a", "b"])
    assert annotation.classes == ("a", "b")
    assert annotation.notes == ("1 repeated outline left out",)
    with pytest.raises(
        UserError, match="outline 1 and outline 2 are the same outline with the classes 'a' and 'b'"
    ):
        annotated(box, same, names=["a", "b"])


def test_overlaps_are_counted_and_touching_outlines_are_none():
    touching = annotated(shapely.box(0, 0, 9, 9), shapely.box(9, 0, 18, 9), shapely.box(18, 9, 27, 18))
    assert touching.notes == ()
    overlapping = annotated(shapely.box(0, 0, 9, 9), shapely.box(8, 8, 18, 18), shapely.box(2, 2, 4, 4))
    assert overlapping.notes == ("2 pairs of outlines overlap: the later one in the file wins",)


@pytest.mark.parametrize("position", [0, 4])
def test_an_outline_around_others_is_no_nucleus(position):
    nuclei = [shapely.box(10 * index, 10, 10 * index + 8, 18) for index in range(1, 5)]
    nuclei.insert(position, shapely.box(5, 5, 70, 70))
    with pytest.raises(UserError, match=f"outline {position + 1} lies around 4 other outlines"):
        annotated(*nuclei)
    ring = shapely.box(5, 5, 70, 70).difference(
        shapely.union_all([each for each in nuclei if each.area < 100])
    )
    nuclei[position] = ring
    assert annotated(*nuclei).nucleus_count == 5


def test_thousands_of_outlines_on_one_place_are_refused_within_seconds():
    boxes = [shapely.box(10, 10, 50 + index / 100, 50) for index in range(3000)]
    with pytest.raises(UserError, match="on top of each other"):
        annotated(*boxes)


def test_a_large_outline_is_suspected():
    outline = Outline(shapely.box(0, 0, 300, 200), "outline 1")
    assert (
        "outline 1 takes 67% of the image: make sure that it is a nucleus"
        in outline_annotation([outline], 300, 300).notes
    )
