"""Names of outputs fit every file system, and no two files of any two images are one."""

import os
import pathlib

from hypothesis import given, settings
from hypothesis import strategies as st

from nucseg_jax.core.files import temporary_path
from nucseg_jax.images.open_source import stem
from nucseg_jax.inference.output.output_files import OutputFiles, output_stem

# Of letters of one to four bytes, with dots, and what outputs are called.
PIECES = st.sampled_from(
    [".", "a", "ä", "切", "𝒜", " ", ",", "mask", ".mask.png", ".probability.zarr", ".part"]
)
NAMES = st.lists(PIECES, min_size=1, max_size=9).map("".join) | st.integers(1, 260).flatmap(
    lambda length: st.sampled_from("aä切𝒜").map(lambda letter: letter * (length // len(letter.encode())))
)


@settings(deadline=None, max_examples=100)
@given(st.sets(NAMES, min_size=2, max_size=4))
def test_files_of_different_images_never_meet_and_fit(names):
    written: list[str] = []
    # Hidden ones, and ones that look like outputs of another.
    for name in {
        around.format(name) for name in names for around in ("{}", ".{}", "..{}", "{}.mask", ".{}.mask")
    }:
        files = OutputFiles(pathlib.Path("out"), output_stem(pathlib.Path(f"{name}.png")))
        folders = [files.probability.name, files.unfinished.name]
        outputs = {path.name for path in (*files.finished(is_small=True), files.tiff_mask)}
        plain = [*outputs.difference(folders), files.journal.name]
        written += [*folders, *plain, *(temporary_path(pathlib.Path(each)).name for each in plain)]
    assert len(set(written)) == len(written)
    assert max(len(os.fsencode(name)) for name in written) <= 255


def test_a_long_name_is_cut_always_alike_and_two_that_begin_alike_stay_two():
    for letter in "a切𝒜":
        long = [pathlib.Path(f"{letter * 60 * 4}{end}.ome.tif") for end in ("1", "2")]
        one, other = (output_stem(path) for path in long)
        assert one != other
        assert one == output_stem(pathlib.Path("elsewhere") / long[0].name)
        assert one[:-13] == letter * len(one[:-13])
    assert output_stem(pathlib.Path("a.1.png")) == stem(pathlib.Path("a.1.png")) == "a.1"
