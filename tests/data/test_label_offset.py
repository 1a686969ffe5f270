import numpy as np
import pytest

from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.label_offset import LabelOffset
from tests.data.sources import lab

PX = 96
IDS = lab.nuclei(3 * PX, 3 * PX, seed=5)
PICTURE = lab.picture(IDS)


def found(label, *, image=PICTURE, microns_per_px=0.25, tops=(0, PX, 2 * PX)):
    offset = LabelOffset(PX)
    for top in tops:
        for left in (0, PX, 2 * PX):
            window = np.s_[top : top + PX, left : left + PX]
            offset.add(image[window], label[window], len(np.unique(IDS[window][label[window] > 0])))
    return offset.found(microns_per_px)


@pytest.mark.parametrize("shift", [(5, 0), (0, -7), (-6, 4), (9, 9)])
def test_a_shift_is_found_with_its_way_back(shift):
    """Labels that lie so many px down and to the right must go as many up and to the left."""
    label = np.roll((IDS > 0).astype(np.uint8), shift, (0, 1))
    assert found(label) == (-shift[0], -shift[1])
    if max(map(abs, shift)) == 9:
        assert found(label, microns_per_px=0.1) is None


def test_labels_on_their_nuclei_are_well_and_void_counts_for_nothing():
    label = (IDS > 0).astype(np.uint8)
    assert found(label) is None
    image = PICTURE.copy()
    # Were void a nucleus, it would leave the white for the black if it were moved down.
    for top in (0, PX, 2 * PX):
        label[top + 10 : top + 86] = VOID_LABEL
        image[top + 10 : top + 26], image[top + 26 : top + 86] = 255, 0
    assert found(label, image=image) is None
    assert found(np.roll(label, 6, 1), image=image) == (0, -6)


def test_few_nuclei_prove_nothing():
    label = np.roll((IDS > 0) & (IDS < 7), 8, 0).astype(np.uint8)
    assert label.any()
    assert found(label, tops=(0,)) is None
