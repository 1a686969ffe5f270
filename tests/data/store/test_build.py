import numpy as np
import PIL.Image
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.store import build
from nucseg_jax.data.store.location import NUCLEI, dataset_folder
from nucseg_jax.data.store.workspace import scratch
from tests.data.store.opened import open_drawn


@pytest.mark.parametrize("count", [1, 5, 12, 40])
def test_a_sample_is_spread_over_the_stream_and_shows_nuclei(count):
    opened = open_drawn(count)
    sample = build.SpreadSample(count, 12)
    passed = list(sample.taken_from(opened.patches()))
    assert len(passed) == count
    kept = [next(n for n, each in enumerate(passed) if each is patch) for patch in sample.patches]
    assert [place * min(count, 12) // count for place in kept] == list(range(min(count, 12)))
    if count == 40:  # Stretches of three or four, of which at least two have nuclei.
        assert all(patch.instance.any() for patch in sample.patches)
        assert len({place % 10 for place in kept}) > 4


def test_what_does_not_read_back_is_not_moved_into_place(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "stored_digest", lambda _: "0" * 64)
    with scratch(tmp_path) as folder, pytest.raises(UserError, match="does not read back"):
        build.build(open_drawn(2), tmp_path, folder, draw_sheet=lambda patches, _: patches[0].image)
    assert not dataset_folder(tmp_path, NUCLEI).exists()


def test_the_digest_of_a_source_is_that_of_the_data_set_built_from_it(tmp_path):
    opened, drawn = open_drawn(5), []

    def draw(patches, info):
        drawn.append((len(patches), info.name))
        return np.concatenate([patch.image for patch in patches])

    with scratch(tmp_path) as folder:
        audit = build.build(opened, tmp_path, folder, draw_sheet=draw)
        assert build.digest_of_source(opened, folder) == audit.digest
        assert build.digest_of_source(open_drawn(5, first=1), folder) != audit.digest
    assert drawn == [(5, "ovary")]
    with PIL.Image.open(dataset_folder(tmp_path, NUCLEI) / build.CONTACT_SHEET) as sheet:
        assert sheet.size == (64, 5 * 64)


def test_a_source_without_a_patch_is_refused(tmp_path):
    with scratch(tmp_path) as folder, pytest.raises(UserError, match="has no patch"):
        build.build(open_drawn(0), tmp_path, folder, draw_sheet=lambda *_: None)
