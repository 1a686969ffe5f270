import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.inference.nuclei.geojson import class_colors
from nucseg_jax.inference.output.overlay import Overlay, rims

NUCLEI = np.zeros((12, 16), np.uint32)
NUCLEI[2:7, 3:8] = 1
NUCLEI[2:7, 8:11] = 2
NUCLEI[9:12, 12:16] = 3


def test_a_rim_is_every_pixel_of_a_nucleus_with_another_beside_it():
    slow = np.zeros(NUCLEI.shape, bool)
    for row, column in np.argwhere(NUCLEI):
        around = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        inside = [(r, c) for r, c in around if 0 <= r < NUCLEI.shape[0] and 0 <= c < NUCLEI.shape[1]]
        slow[row, column] = any(NUCLEI[place] != NUCLEI[row, column] for place in inside)
    np.testing.assert_array_equal(rims(NUCLEI), slow)


def test_lines_have_the_colour_of_their_class_wherever_the_window_begins():
    image = np.random.default_rng(0).integers(0, 200, (*NUCLEI.shape, 3), np.uint8)
    classes = (
        NucleusClass("tumour", (1, 2, 3)),
        NucleusClass("stroma", (4, 5, 6)),
        NucleusClass("x", (7, 8, 9)),
    )
    colors = class_colors(DatasetInfo("toy", classes))
    names = list(colors)
    overlay = Overlay(*NUCLEI.shape, colors, largest_px=100)
    for top, bottom, first, count in ((0, 8, 1, 2), (8, 12, 3, 1)):
        overlay.add_image(image[top:bottom])
        window = {"class": np.array(names[first : first + count], object)}
        overlay.add_nuclei(NUCLEI[top:bottom], window, first=first, top=top)
    expected, rim = image.copy(), rims(NUCLEI)
    for number in (1, 2, 3):
        expected[rim & (number == NUCLEI)] = colors[names[number]]
    # The second window does not see what is above it; nothing is there.
    np.testing.assert_array_equal(overlay.picture(), expected)
