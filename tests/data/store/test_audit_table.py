import dataclasses

import numpy as np

from nucseg_jax.data.store.audit import load_audit
from nucseg_jax.data.store.audit_table import render
from nucseg_jax.data.store.tally import Tally
from tests.data.store.opened import INFO, draw_patch


def audited(info, folder, numbers, **changes):
    tally = Tally(info, folder)
    for row, number in enumerate(numbers):
        tally.add(1, row, dataclasses.replace(draw_patch(number, info), **changes))
    return tally.audit({}, {}), tally.info, tally.index()


def row(text, name):
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    return line[len(name) + 2 :].split()


def test_the_table_has_this_data_set_s_own_names_and_its_counts_add_up(tmp_path):
    audit, info, index = audited(INFO, tmp_path, range(12))
    text = render(audit, info, index)
    of_classes = [int(row(text, name)[0]) for name in ("Tumour", "Other")]
    assert sum(of_classes) == int(row(text, "nuclei, by patch")[0]) == 3 * 8
    assert row(text, "patient, 1") == ["6"]
    assert row(text, "train") == ["6"]
    assert "annotated" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_many_groups_are_counted_and_not_listed(tmp_path):
    info = dataclasses.replace(INFO, groups=tuple(f"p{number:03}" for number in range(50)))
    text = render(*audited(info, tmp_path, range(100)))
    assert "  and 10 more; patches.csv has them all" in text
    assert "p039" in text
    assert "p040" not in text


def test_an_image_whose_labels_lie_beside_its_nuclei_is_named(tmp_path):
    """It is one of three: the share of odd patches is small, as where one label was exchanged."""
    tally = Tally(INFO, tmp_path)
    for position in range(60):
        patch = draw_patch(position, per_image=20)
        if patch.image_name == "slide 1.png":
            # Six px to the left, so that six to the right is the way back.
            moved = {name: np.roll(getattr(patch, name), -6, 1) for name in ("label", "instance")}
            patch = dataclasses.replace(patch, **moved)
        tally.add(1, position, patch)
    audit = tally.audit({}, {})
    assert dict(audit.label_offsets) == {"slide 1.png": [0, 6]}
    audit.save(tmp_path)
    assert load_audit(tmp_path) == audit
    text = render(audit, INFO, tally.index())
    assert "Labels of 1 image would fit the nuclei better" in text
    assert "  slide 1.png: 6 px to the right\n" in text + "\n"
