"""From events to files, with a model that is one line of numpy."""

import csv
import dataclasses
import itertools
import json

import numpy as np
import pytest
import zarr
from PIL import Image

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.output.journal import read_journal
from nucseg_jax.inference.output.output_files import OutputFiles
from nucseg_jax.inference.output.write_images import write_images
from nucseg_jax.inference.prediction import predict_job
from nucseg_jax.inference.tiling.job import plan_job, resumed
from nucseg_jax.inference.tiling.stream import End, Failed, RowEnd, infer, read_events
from tests.inference.by_colour import ByColour


@dataclasses.dataclass(frozen=True)
class WithMaps:
    """The same, and two maps of an instance head."""

    channels: int
    map_channels = 2
    batch_size: int = 4

    def start(self, tiles):
        probability = ByColour(self.channels - self.map_channels, self.batch_size).start(tiles)
        maps = np.broadcast_to(np.linspace(-1, 1, 64)[:, None, None], (*probability.shape[:-1], 2))
        return np.concatenate([probability, maps.astype(np.float32)], axis=-1)


def image_of_squares() -> np.ndarray:
    """One square of 20 px for each class, on white; their green levels are 0 to 4."""
    image = np.full((150, 170, 3), 255, np.uint8)
    for index in range(5):
        image[20 + 24 * index : 40 + 24 * index, 30 * index + 5 : 30 * index + 25] = (50, index, 90)
    return image


def write(jobs, folder, channels, info=PANNUKE, kind=ByColour):
    model = kind(channels + kind.map_channels)
    return list(
        write_images(
            infer(read_events(jobs), model),
            lambda job: (OutputFiles(folder, job.path.name), "key"),
            rule=NucleusRule(),
            channels=model.channels,
            map_channels=model.map_channels,
            info=info,
        )
    )


def job(folder, name, source=None):
    source = source or array_source(image_of_squares())
    return plan_job(
        folder / name, source, microns_per_px=0.25, model_microns_per_px=0.25, tile_px=64, overlap_px=16
    )


def test_classes_are_in_every_output(tmp_path):
    (summary,) = write([job(tmp_path, "a")], tmp_path, channels=5)
    assert summary["nuclei_by_class"] == dict.fromkeys(PANNUKE.class_names, 1)
    store = zarr.open_group(tmp_path / "a.probability.zarr", mode="r")
    nuclei, classes = np.asarray(store["nucleus"]), np.asarray(store["class"])
    with (tmp_path / "a.nuclei.csv").open() as file:
        rows = {int(row["nucleus"]): row for row in csv.DictReader(file)}
    for number, row in rows.items():
        assert PANNUKE.class_names[classes[nuclei == number][0] - 1] == row["class"]
        assert float(row["area_um2"]) == 400 * 0.25**2
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert sorted(feature["properties"]["classification"]["name"] for feature in features) == sorted(
        PANNUKE.class_names
    )


@pytest.mark.parametrize("channels", [1, 5])
def test_a_rule_that_needs_no_maps_finds_the_same_nuclei_with_a_head_that_has_some(tmp_path, channels):
    """Parting by shape is tuned beside that by maps, and may be what a run with a head uses."""
    plain, with_maps = (
        write([job(tmp_path, kind.__name__)], tmp_path, channels, kind=kind)[0]
        for kind in (ByColour, WithMaps)
    )
    assert plain["nuclei"] == with_maps["nuclei"] == 5
    stores = [
        zarr.open_group(tmp_path / f"{kind.__name__}.probability.zarr", mode="r")
        for kind in (ByColour, WithMaps)
    ]
    assert set(stores[0]) == set(stores[1])
    for name in stores[0]:
        np.testing.assert_array_equal(stores[0][name], stores[1][name])


def test_names_and_colours_are_those_of_the_data_set(tmp_path):
    classes = (NucleusClass("Tumour cell", (9, 8, 7)), NucleusClass("stroma", (1, 2, 3)))
    toy = DatasetInfo("toy", classes, ("a", "b"), microns_per_px=0.5)
    (summary,) = write([job(tmp_path, "a")], tmp_path, channels=2, info=toy)
    # Of the five squares' green levels, 0, 2 and 4 are the first class.
    assert summary["nuclei_by_class"] == {"Tumour cell": 3, "stroma": 2}
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    found = [feature["properties"]["classification"] for feature in features]
    assert found.count({"name": "Tumour cell", "color": [9, 8, 7]}) == 3
    assert found.count({"name": "stroma", "color": [1, 2, 3]}) == 2
    with (tmp_path / "a.nuclei.csv").open() as file:
        assert sorted(row["class"] for row in csv.DictReader(file)) == ["Tumour cell"] * 3 + ["stroma"] * 2
    with Image.open(tmp_path / "a.overlay.png") as picture:
        lines = {color for _, color in picture.convert("RGB").getcolors(10**6)}
    assert {(9, 8, 7), (1, 2, 3)} <= lines
    store = zarr.open_group(tmp_path / "a.probability.zarr", mode="r")
    assert store.attrs["classes"] == ["Tumour cell", "stroma"]
    whole = predict_job(job(tmp_path, "a"), ByColour(2), NucleusRule(), toy)
    whole.write_geojson(tmp_path / "b.geojson")
    again = json.loads((tmp_path / "b.geojson").read_text())["features"]
    assert [feature["properties"]["classification"] for feature in again] == found
    assert (whole.overlay() == np.array([9, 8, 7])).all(axis=-1).sum() == 3 * 76


def test_the_models_grid_is_of_its_own_scale(tmp_path):
    """What is magnified is told by the model's own microns, whatever they are."""
    source = array_source(image_of_squares())
    for model in (0.25, 0.5, 1.0):
        same, coarse, unknown = (
            plan_job(
                tmp_path / "a",
                source,
                microns_per_px=microns,
                model_microns_per_px=model,
                tile_px=64,
                overlap_px=16,
            )
            for microns in (model, model / 2, None)
        )
        assert (same.plan.height, same.plan.width) == (150, 170)
        assert (coarse.plan.height, coarse.plan.width) == (75, 85)
        assert (unknown.plan.height, unknown.resolution.microns_per_px) == (150, model)
        assert unknown.resolution.is_unknown
        assert not same.resolution.is_unknown


def test_without_classes_nothing_speaks_of_them(tmp_path):
    (summary,) = write([job(tmp_path, "a")], tmp_path, channels=1)
    assert "nuclei_by_class" not in summary
    assert summary["nuclei"] == 5
    assert "class" not in zarr.open_group(tmp_path / "a.probability.zarr", mode="r")


@dataclasses.dataclass(frozen=True)
class Shaded:
    """Probabilities at and around a threshold by the red level, shared by the classes."""

    channels: int
    map_channels = 0
    threshold: float
    batch_size: int = 4

    def start(self, tiles):
        half = 255.0 * self.threshold + np.arange(-64, 64) / 32.0
        shades = np.concatenate([half / 255.0, np.linspace(0.0, 1.0, 126), [self.threshold] * 2])
        shades = np.clip(shades, 0.0, 1.0).astype(np.float32)
        shares = np.arange(1, self.channels + 1, dtype=np.float32)[::-1] / sum(range(1, self.channels + 1))
        probability = np.zeros((self.batch_size, 64, 64, self.channels), np.float32)
        for tile, result in zip(tiles, probability, strict=False):
            result[:] = shades[tile[..., 0]][..., None] * shares
        return probability


@pytest.mark.parametrize(
    ("channels", "threshold"), [(1, 0.0), (1, 0.4), (1, 0.5), (5, 0.5), (5, 0.3), (1, 0.8), (1, 0.9999)]
)
def test_nucleus_is_exactly_what_exceeds_the_threshold_also_when_resumed(tmp_path, channels, threshold):
    """In mask, numbers, levels and the prediction in memory; levels are kept in 255ths, the threshold is not."""
    rule = NucleusRule(threshold=threshold, smallest_um2=0.0)
    shades = np.random.default_rng(0).permutation(308) % 256
    image = np.repeat(
        np.kron(shades.reshape(22, 14), np.ones((5, 5))).astype(np.uint8)[..., None], 3, axis=-1
    )
    model, source = Shaded(channels, threshold), array_source(image)
    found = predict_job(job(tmp_path, "a", source), model, rule, PANNUKE)
    is_nucleus = found.probability > threshold
    assert 0.05 < is_nucleus.mean() < 0.999
    np.testing.assert_array_equal(found.nuclei > 0, is_nucleus)

    def start(a_job, name, bands=None):
        files = OutputFiles(tmp_path, name)
        events = stopped_after(infer(read_events([a_job]), model), bands)
        list(write_images(events, lambda job: (files, "key"), rule=rule, channels=channels, info=PANNUKE))
        return files

    with pytest.raises(KeyboardInterrupt):
        start(job(tmp_path, "b", source), "b", bands=2)
    again = resumed(job(tmp_path, "b", source), read_journal(OutputFiles(tmp_path, "b").journal, "key").ends)
    assert again.rows_done
    for files in (start(job(tmp_path, "a", source), "a"), start(again, "b")):
        store = zarr.open_group(files.probability, mode="r")
        level = np.asarray(store["probability"])
        np.testing.assert_array_equal(level > np.floor(255 * threshold), is_nucleus)
        np.testing.assert_array_equal(level >= store.attrs["lowest_nucleus_level"], is_nucleus)
        assert store.attrs["threshold"] == threshold
        assert np.abs(level / 255.0 - found.probability).max() <= 1 / 255 + 1e-6
        np.testing.assert_array_equal(np.asarray(store["nucleus"]) > 0, is_nucleus)
        np.testing.assert_array_equal(np.asarray(Image.open(files.png_mask)) > 0, is_nucleus)
        if channels > 1:
            np.testing.assert_array_equal(np.asarray(store["class"]), 1)


def stopped_after(events, bands):
    for event in events:
        yield event
        if isinstance(event, RowEnd) and bands is not None:
            bands -= 1
            if not bands:
                raise KeyboardInterrupt


@pytest.mark.parametrize("readings", [0, 1, 3, 5])
def test_an_image_that_breaks_leaves_nothing_and_stops_no_other(readings, tmp_path):
    """Wherever it breaks: while tiles are read, or when its rows are read again for stains and overlay."""
    whole, left = array_source(image_of_squares()), [readings]

    def read(top, *rest):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("gone")
        return whole.read(top, *rest)

    jobs = [
        job(tmp_path, "a"),
        job(tmp_path, "broken", dataclasses.replace(whole, read=read)),
        job(tmp_path, "c"),
    ]
    results = write(jobs, tmp_path, channels=1)
    assert [isinstance(result, Failed) for result in results] == [False, True, False]
    assert "gone" in str(results[1].error)
    assert not [path for path in tmp_path.iterdir() if "broken" in path.name]
    assert results[0]["nuclei"] == results[2]["nuclei"] == 5


def test_a_journal_does_not_outlive_the_maps_that_it_tells_of(tmp_path):
    """One job is stopped, another of the same name is stopped before its first band, and the first comes again."""
    files = OutputFiles(tmp_path, "a")

    def start(a_job, key, bands):
        events = itertools.chain(infer(read_events([a_job]), ByColour(1)), itertools.repeat(None))
        seen = 0

        def until(event):
            nonlocal seen
            seen += isinstance(event, RowEnd)
            if seen > bands:
                raise KeyboardInterrupt
            return event

        return list(
            write_images(
                map(until, events), lambda job: (files, key), rule=NucleusRule(), channels=1, info=PANNUKE
            )
        )

    for key, bands in (("x", 2), ("y", 0)):
        with pytest.raises(KeyboardInterrupt):
            start(job(tmp_path, "a"), key, bands)
        assert len(read_journal(files.journal, key).ends) == bands
    again = resumed(job(tmp_path, "a"), read_journal(files.journal, "x").ends)
    assert not again.rows_done
    (summary,) = write([again], tmp_path, channels=1)
    assert summary["nuclei"] == 5


def test_images_without_a_wanted_tile_are_not_gathered_until_a_batch_is_full(tmp_path):
    opened = []

    def jobs():
        for number in range(100):
            opened.append(number)
            a_job = job(tmp_path, str(number))
            yield dataclasses.replace(a_job, is_computed=np.zeros_like(a_job.is_computed))

    model = ByColour(1)
    ended = 0
    for event in infer(read_events(jobs()), model):
        ended += isinstance(event, End)
        assert len(opened) - ended <= 4 * model.batch_size
    assert ended == 100


def test_an_image_without_nuclei_has_files_without_nuclei(tmp_path):
    empty = array_source(np.full((70, 30, 3), 255, np.uint8))
    (summary,) = write([job(tmp_path, "a", empty)], tmp_path, channels=1)
    assert summary["nuclei"] == 0
    assert json.loads((tmp_path / "a.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    assert all((tmp_path / name).exists() for name in summary["files"])
