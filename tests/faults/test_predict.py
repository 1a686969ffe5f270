"""`predict` killed in the middle of an image: the same command again writes the same bytes."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from tests.cli.predicted_files import contents
from tests.faults.watched import wait_until

pytestmark = pytest.mark.long


def rows_done(out) -> int:
    journal = out / ".field.journal.json"
    if not journal.exists():
        return 0
    ends = json.loads(journal.read_text())["ends"]
    return ends[-1] if ends else 0


def test_killed_three_times_it_goes_on_and_ends_the_same(command_line, finished_run, tmp_path):
    patch = paint_patch(0, 1, 10).image
    Image.fromarray(np.tile(patch, (6, 4, 1))).save(tmp_path / "field.png")

    def arguments(out):
        return (
            *("predict", f"--workdir={finished_run}", f"--inputs={tmp_path / 'field.png'}", f"--out={out}"),
            *("--tile_px=64", "--overlap_px=32", "--mpp=0.25"),
        )

    status, _, err = command_line.run(*arguments(tmp_path / "unbroken"))
    assert status == 0, err
    broken, drawn = tmp_path / "broken", random.Random(0)
    for _ in range(3):
        before = rows_done(broken)
        process = command_line.start(*arguments(broken))
        more = drawn.randrange(1, 300)
        wait_until(process, lambda least=before + more: rows_done(broken) >= least)
        process.kill()
        process.communicate()
        # Nothing half-written has a name that a user would open.
        assert not [path for path in broken.iterdir() if not path.name.startswith(".")]
    stopped_at = rows_done(broken)
    assert 0 < stopped_at < 6 * 256
    status, _, err = command_line.run(*arguments(broken))
    assert status == 0, err
    assert contents(broken, "field") == contents(tmp_path / "unbroken", "field")
