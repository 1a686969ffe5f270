import dataclasses
import json

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL, read_info
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.store import builder, reader
from nucseg_jax.data.store.audit import load_audit
from nucseg_jax.data.store.builder import Nuclei
from nucseg_jax.data.store.location import NUCLEI, dataset_folder
from tests.data.store.opened import INFO, draw_patch, open_drawn, with_patches


def build(opened, data_dir, **options):
    Nuclei(opened, data_dir=data_dir, **options).download_and_prepare()
    return dataset_folder(data_dir, NUCLEI)


def require_equal(found: Patches, expected):
    for row, patch in enumerate(expected):
        np.testing.assert_array_equal(found.image[row], patch.image)
        np.testing.assert_array_equal(found.label[row], patch.label)
        assert found.group[row] == patch.group


@pytest.mark.parametrize("show_progress", [False, True])
def test_patches_come_back_with_their_places_from_parts_of_a_bounded_size(
    tmp_path, monkeypatch, show_progress
):
    monkeypatch.setattr(builder, "PART_BYTES", builder.record_bytes(64) * 3)
    info = dataclasses.replace(INFO, has_void=True)
    opened = open_drawn(8, info)
    folder = build(opened, tmp_path, show_progress=show_progress)
    expected = list(opened.patches())
    dataset = reader.open_dataset(tmp_path)
    assert dataset.index.fold_sizes == {1: 2, 2: 3, 3: 3}
    assert dataset.info == info == read_info(folder)
    require_equal(reader.read_folds(tmp_path, [3, 1, 2]), expected)
    stored = reader.open_folds(tmp_path, [2, 3])
    require_equal(stored.take(np.array([5, 0, 2])), [expected[7], expected[2], expected[4]])
    assert (expected[1].label == VOID_LABEL).any()
    index = dataset.index
    assert index.image == tuple(patch.image_name for patch in expected)
    assert index.division == tuple(patch.division for patch in expected)
    assert index.left.tolist() == [patch.left for patch in expected]
    assert index.group.tolist() == [patch.group for patch in expected]
    assert dataset.digest == reader.stored_digest(folder)
    assert dataset.digest in (folder / "audit.json").read_text()


def test_no_void_pixel_means_no_void(tmp_path):
    """Programs that treat void cost more; a data set that could have had some and has none needs them not."""
    drawn = open_drawn(2)
    build(dataclasses.replace(drawn, info=dataclasses.replace(INFO, has_void=True)), tmp_path)
    assert not reader.open_dataset(tmp_path).info.has_void


@pytest.mark.parametrize(("count", "px", "parts"), [(1, 256, 1), (606, 256, 1), (607, 256, 2), (3, 8192, 3)])
def test_parts_hold_128_mib_and_every_patch(count, px, parts):
    sizes = builder.part_sizes(count, px)
    assert len(sizes) == parts
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) * builder.record_bytes(px) <= builder.PART_BYTES or max(sizes) == 1


def changed(**values):
    return lambda number, patch: dataclasses.replace(patch, **values) if number == 2 else patch


BLACK = np.zeros((64, 64, 3), np.uint8)
ONE = np.eye(64, dtype=np.uint16)


@pytest.mark.parametrize(
    "change",
    [
        changed(image=BLACK),
        changed(label=ONE.astype(np.uint8), instance=ONE),
        changed(label=np.zeros((64, 64), np.uint8), instance=0 * ONE),
        changed(group=0),
        changed(image_name="another.png"),
        changed(top=64),
        changed(left=64),
        changed(division="train"),
    ],
    ids=["image", "nuclei", "no nuclei", "group", "name", "top", "left", "division"],
)
def test_the_digest_depends_on_every_part_of_a_patch(tmp_path, change):
    opened = open_drawn(4)
    digests = {
        reader.stored_digest(build(each, tmp_path / name))
        for name, each in (("a", opened), ("b", with_patches(opened, change)))
    }
    assert len(digests) == 2


def test_the_digest_depends_on_what_gives_numbers_a_meaning_and_not_on_colours(tmp_path):
    opened = open_drawn(2)

    def digest(folder, /, **values):
        info = dataclasses.replace(INFO, **values)
        return reader.stored_digest(build(dataclasses.replace(opened, info=info), tmp_path / folder))

    plain = digest("plain")
    assert digest("licence", licence="CC0", citation="us", name="other") == plain
    recoloured = tuple(each._replace(color=(1, 2, 3)) for each in INFO.classes)
    assert digest("colours", classes=recoloured) == plain
    assert digest("classes", classes=INFO.classes[::-1]) != plain
    assert digest("groups", groups=INFO.groups[::-1]) != plain
    assert digest("scale", microns_per_px=0.25) != plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(label=3 * ONE.astype(np.uint8), instance=ONE), "has the label 3"),
        (changed(label=ONE.astype(np.uint8), instance=0 * ONE), "do not cover the same"),
        (changed(label=0 * ONE.astype(np.uint8), instance=ONE), "do not cover the same"),
        (changed(label=ONE.astype(np.uint8), instance=2 * ONE), "without gaps"),
        (changed(label=255 * ONE.astype(np.uint8), instance=0 * ONE), "has void pixels"),
        (changed(image=BLACK.astype(np.float32)), "image of .* is float32"),
        (changed(image=BLACK[:32]), r"image of .* is uint8 \(32, 64, 3\)"),
        (changed(group=2), "group of .* is 2"),
        (changed(division="fold1"), "none of"),
    ],
)
def test_patches_that_no_source_may_give_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as raised:
        build(with_patches(open_drawn(4), change), tmp_path)
    assert "slide 1.png at top 0, left 0" in str(raised.value)
    assert not dataset_folder(tmp_path, NUCLEI).exists()


@pytest.mark.parametrize(("given", "found"), [(3, "3 of 4 patches"), (5, "more of 4 patches")])
def test_a_source_that_gives_another_number_of_patches_is_refused(tmp_path, given, found):
    opened = dataclasses.replace(open_drawn(given), patch_count=4)
    with pytest.raises(UserError, match=found):
        build(opened, tmp_path)
    assert not dataset_folder(tmp_path, NUCLEI).exists()


def test_the_audit_counts_what_was_drawn(tmp_path):
    info = dataclasses.replace(INFO, has_void=True)
    opened = open_drawn(8, info)

    def split_in_two(number, patch):
        """The first nucleus gets a second piece, and a pixel of another class."""
        if number != 4:
            return patch
        instance, label = patch.instance.copy(), patch.label.copy()
        ys, xs = np.nonzero(instance == 1)
        kind = label[ys[0], xs[0]]
        label[ys[0], xs[0]] = 3 - kind
        instance[63, 63], label[63, 63] = 1, kind
        return dataclasses.replace(patch, instance=instance, label=label)

    folder = build(with_patches(opened, split_in_two), tmp_path)
    audit, patches = load_audit(folder), list(opened.patches())
    nuclei = {"Tumour": 0, "Other": 0}
    for patch in patches:
        for number in range(1, int(patch.instance.max()) + 1):
            nuclei[INFO.class_names[patch.label[patch.instance == number][0] - 1]] += 1
    assert audit.totals("nuclei") == nuclei
    assert sum(nuclei.values()) % 2 == 1  # So that the two classes differ.
    assert audit.total("empty_patches") == sum(not patch.instance.any() for patch in patches) == 3
    assert (audit.total("void_patches"), audit.total("void_px")) == (1, 5 * 64)
    assert (audit.total("disconnected_nuclei"), audit.total("mixed_nuclei")) == (1, 1)
    assert audit.images == 4
    assert audit.totals("groups") == {"patient, 1": 4, "patient2": 4}
    assert audit.totals("divisions") == {"train": 4, "test": 4}
    assert audit.total("bright_nuclei_patches") == 0


EDITS = {
    "patches.csv": lambda text: text.replace("patient2", "patient, 1").replace("slide 0", "slide 9", 1),
    "dataset.json": lambda text: text.replace("Tumour", "Normal"),
    "audit.json": lambda text: text.replace('"near_duplicates": []', '"near_duplicates": [[1, 0, 1, 3]]'),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("edit", ["edited", "gone", "cut"])
def test_files_beside_the_records_that_were_altered_are_noticed(tmp_path, name, edit):
    path = build(open_drawn(4), tmp_path) / name
    text = path.read_text()
    if edit == "gone":
        path.unlink()
    else:
        path.write_text(EDITS[name](text) if edit == "edited" else text[: len(text) // 2])
        assert path.read_text() != text
    with pytest.raises(UserError, match=r"(?s)is damaged.*What to do: remove"):
        reader.open_dataset(tmp_path)


def test_an_altered_record_file_is_noticed(tmp_path):
    folder = build(open_drawn(4), tmp_path)
    (path,) = folder.glob("*array_record*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="was altered after it was written"):
        reader.read_folds(tmp_path, [1])


def test_names_with_commas_quotes_and_line_ends_survive(tmp_path):
    names = ['a,"b"', "ä\nb", " c ", "#d", "e\r"]
    groups = ('g,"1"', " g2 ")
    info = dataclasses.replace(INFO, groups=groups)
    opened = with_patches(
        open_drawn(5, info), lambda number, patch: dataclasses.replace(patch, image_name=names[number])
    )
    build(opened, tmp_path)
    dataset = reader.open_dataset(tmp_path)
    assert list(dataset.index.image) == names
    assert dataset.info.groups == groups
    unwritable = with_patches(
        open_drawn(1), lambda _, patch: dataclasses.replace(patch, image_name="a\udcff.png")
    )
    with pytest.raises(UserError, match="not UTF-8"):
        build(unwritable, tmp_path / "other")


def test_the_same_image_under_two_names_is_stored_as_a_pair(tmp_path):
    """Patches of 128 px, as drawn ones of 64 px have little in them."""
    info = dataclasses.replace(INFO, patch_px=128)
    again = dataclasses.replace(
        open_drawn(6, info),
        patches=lambda: (
            dataclasses.replace(
                draw_patch(number % 4, info),
                image_name=f"{number}.png",
            )
            for number in range(6)
        ),
    )
    build(again, tmp_path)
    assert reader.open_dataset(tmp_path).near_duplicates.tolist() == [[1, 0, 1, 4], [1, 1, 1, 5]]
    audit = json.loads((dataset_folder(tmp_path, NUCLEI) / "audit.json").read_text())
    assert audit["uncompared_patches"] == 0
