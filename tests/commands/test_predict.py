"""`predict` on files, in this process where a process of its own would show nothing more."""

import csv
import dataclasses
import json
import os
import pathlib
import shutil
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile
import zarr
from PIL import Image

from nucseg_jax import load_run
from nucseg_jax.commands.predict import PredictSettings, predict
from nucseg_jax.commands.predict_inputs import find_inputs
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.inference import mask_file, open_source, tissue, write_images
from nucseg_jax.inference.measure import COLUMNS
from nucseg_jax.inference.nuclei import NucleusRule
from nucseg_jax.inference.source import array_source
from nucseg_jax.ops.probability import FOREGROUND_RULE
from tests.commands.predicted_files import contents

TILE_PX = 64
SETTINGS = PredictSettings(
    microns_per_px=None, tile_px=TILE_PX, overlap_px=32, rule=NucleusRule(threshold=0.5)
)


@pytest.fixture(scope="module")
def painted_image() -> np.ndarray:
    """A field of painted tissue, uint8 [300, 230, 3]."""
    from nucseg_jax.data.pannuke.synthetic import paint_patch

    patches = [paint_patch(0, 1, index).image for index in (10, 11)]
    return np.concatenate(patches)[:300, :230]


def run_predict(workdir, inputs, out, settings=SETTINGS) -> int:
    return predict(workdir, [str(path) for path in inputs], out, settings, batch_size=8)


@pytest.fixture(scope="module")
def predicted(finished_run, painted_image, tmp_path_factory):
    """One image, whole, and the folder it was predicted into."""
    folder = tmp_path_factory.mktemp("predict")
    tifffile.imwrite(folder / "field.tif", painted_image, photometric="rgb")
    assert run_predict(finished_run, [folder / "field.tif"], folder / "out") == 0
    return folder


def test_good_images_finish_and_bad_ones_are_listed(command_line, finished_run, painted_image, tmp_path):
    Image.fromarray(painted_image[:80]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:5000])
    (tmp_path / "empty.tif").write_bytes(b"")
    status, out, err = command_line.run(
        "predict",
        f"--workdir={finished_run}",
        f"--inputs={tmp_path}/*",
        f"--out={tmp_path / 'out'}",
        f"--tile_px={TILE_PX}",
        "--overlap_px=32",
    )
    assert status == 1, err
    assert "Traceback" not in err
    assert "say no resolution" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["foreground_rule"] == FOREGROUND_RULE
    assert [pathlib.Path(entry["input"]).name for entry in summary["images"]] == ["good.png"]
    reasons = {pathlib.Path(entry["input"]).name: entry["reason"] for entry in summary["failed"]}
    assert set(reasons) == {"bad.png", "empty.tif"}
    assert "truncated" in reasons["bad.png"]
    assert not list((tmp_path / "out").glob("*bad*"))
    assert not list((tmp_path / "out").glob(".*.part"))


def test_files_hold_what_the_python_interface_gives(finished_run, painted_image, predicted):
    expected = load_run(finished_run).predict(painted_image, tile_px=TILE_PX, overlap_px=32)
    out = predicted / "out"
    store = zarr.open_group(out / "field.probability.zarr", mode="r")
    levels = np.asarray(store["probability"])
    assert np.abs(levels - 255 * expected.probability).max() < 0.51
    mask = np.asarray(Image.open(out / "field.mask.png"))
    np.testing.assert_array_equal(mask, np.where(np.asarray(store["nucleus"]) > 0, 255, 0))
    # A level at the threshold may fall either way with another batch.
    assert np.mean(mask != 255 * expected.mask) < 1e-3
    with (out / "field.nuclei.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    parquet = pq.read_table(out / "field.nuclei.parquet")
    assert parquet.num_rows == len(rows) == np.asarray(store["nucleus"]).max()
    np.testing.assert_allclose(parquet["area_um2"], [float(row["area_um2"]) for row in rows], atol=1e-4)
    overlay = np.asarray(Image.open(out / "field.overlay.png"))
    assert overlay.shape == painted_image.shape
    assert (overlay[mask == 0] == painted_image[mask == 0]).all()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["images"][0]["nuclei"] == len(rows) > 3
    assert summary["failed"] == []


def test_the_geojson_is_what_qupath_takes(predicted):
    """A FeatureCollection of detections; polygons valid, as many pixels as the nuclei have."""
    collection = json.loads((predicted / "out" / "field.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    store = zarr.open_group(predicted / "out" / "field.probability.zarr", mode="r")
    areas = np.bincount(np.asarray(store["nucleus"]).ravel())[1:]
    polygons = [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in collection["features"]]
    assert all(polygon.is_valid and polygon.geom_type == "Polygon" for polygon in polygons)
    assert sorted(polygon.area for polygon in polygons) == sorted(areas)
    assert len({feature["id"] for feature in collection["features"]}) == len(polygons)
    for feature in collection["features"]:
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["classification"]["name"] == "Nucleus"
        assert all(isinstance(value, float) for value in feature["properties"]["measurements"].values())


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_stopped_job_goes_on_where_it_was_and_ends_the_same(
    stop_at, finished_run, predicted, tmp_path, monkeypatch, capsys
):
    written = []
    write = write_images.write_journal

    def stop(path, journal):
        write(path, journal)
        written.append(journal.rows_done)
        if len(written) == stop_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(write_images, "write_journal", stop)
        with pytest.raises(KeyboardInterrupt):
            run_predict(finished_run, [predicted / "field.tif"], tmp_path)
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == set()
    rows = []
    monkeypatch.setattr(
        write_images,
        "write_journal",
        lambda path, journal: (write(path, journal), rows.append(journal.rows_done)),
    )
    assert run_predict(finished_run, [predicted / "field.tif"], tmp_path) == 0
    assert min(rows) > written[-1]
    assert contents(tmp_path, "field") == contents(predicted / "out", "field")


def test_finished_images_are_left_alone_until_something_changes(finished_run, predicted, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(predicted / "out", out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name.startswith("field.")}
    assert run_predict(finished_run, [predicted / "field.tif"], out) == 0
    assert "1 images were finished before" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    other = PredictSettings(microns_per_px=0.5, tile_px=TILE_PX, overlap_px=32, rule=NucleusRule())
    assert run_predict(finished_run, [predicted / "field.tif"], out, other) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["images"][0]["microns_per_px"] == 0.5
    assert summary["images"][0]["resolution_from"] == "--mpp"


def test_a_large_image_skips_its_background_and_gets_a_pyramid(
    finished_run, painted_image, tmp_path, monkeypatch
):
    """Limits are lowered so that a small image counts as a slide."""
    slide = np.full((400, 1500, 3), 240, np.uint8)
    slide[50:350, 100:330] = painted_image
    tifffile.imwrite(tmp_path / "slide.tif", slide, photometric="rgb", tile=(64, 64), resolution=(40_000, 40_000),
                     resolutionunit="CENTIMETER")  # fmt: skip
    monkeypatch.setattr(tissue, "SMALLEST_SLIDE_PX", 1000)
    monkeypatch.setattr(mask_file, "LARGEST_WHOLE_PX", 1000)
    assert run_predict(finished_run, [tmp_path / "slide.tif"], tmp_path / "out") == 0
    (entry,) = json.loads((tmp_path / "out" / "summary.json").read_text())["images"]
    assert entry["tiles_without_tissue"] > entry["tiles"] / 2
    assert entry["microns_per_px"] == pytest.approx(0.25)
    store = zarr.open_group(tmp_path / "out" / "slide.probability.zarr", mode="r")
    assert not np.asarray(store["probability"])[:, 500:].any()
    assert sorted(name for name, _ in store.arrays()) == ["nucleus", "probability"]
    with tifffile.TiffFile(tmp_path / "out" / "slide.mask.ome.tif") as file:
        assert file.is_ome
        levels = file.series[0].levels
        np.testing.assert_array_equal(levels[0].asarray() > 0, np.asarray(store["nucleus"]) > 0)
        assert [level.shape for level in levels] == [(400, 1500), (200, 750)]
        halves = (np.asarray(store["nucleus"]) > 0).reshape(200, 2, 750, 2).any(axis=(1, 3))
        np.testing.assert_array_equal(levels[1].asarray() > 0, halves)


def test_a_name_that_is_no_text_is_refused_and_the_others_go_on(
    finished_run, painted_image, tmp_path, capsys
):
    Image.fromarray(painted_image[:70, :70]).save(tmp_path / "good.png")
    shutil.copyfile(tmp_path / "good.png", os.fsencode(tmp_path) + b"/Pr\xe9p.png")
    assert run_predict(finished_run, [tmp_path], tmp_path / "out") == 1
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [pathlib.Path(entry["input"]).name for entry in summary["images"]] == ["good.png"]
    assert "not UTF-8" in summary["failed"][0]["reason"]
    assert "Pr\\udce9p.png" in capsys.readouterr().out


def test_a_slide_that_lies_in_several_files_is_predicted_once(
    finished_run, painted_image, tmp_path, monkeypatch, capsys
):
    """Files of one DICOM series; the reader is replaced, the rest is real."""
    for name in ("1.dcm", "2.dcm", "3.dcm"):
        Image.fromarray(painted_image[:70, :70]).save(tmp_path / name, format="PNG")

    def open_dicom(path):
        series = "other" if path.stem == "3" else "one"
        return dataclasses.replace(array_source(np.asarray(Image.open(path))), series=series)

    monkeypatch.setitem(open_source.OPENERS, ".dcm", open_dicom)
    assert run_predict(finished_run, [tmp_path], tmp_path / "out") == 0
    assert "2.dcm: of the same slide as 1.dcm" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [pathlib.Path(entry["input"]).name for entry in summary["images"]] == ["1.dcm", "3.dcm"]


def test_inputs_are_checked_before_anything_runs(tmp_path):
    for name in ("a.png", "a.tif", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    out = tmp_path / "out"
    assert [path.name for path in find_inputs([f"{tmp_path}/b*", str(tmp_path / "b.jpg")], out)] == ["b.jpg"]
    for patterns, folder, words in (
        ([str(tmp_path)], out, "under one name"),
        ([f"{tmp_path}/*.svs"], out, "names no image"),
        ([f"{tmp_path}/b.jpg"], tmp_path, "where outputs go"),
    ):
        with pytest.raises(UserError, match=words):
            find_inputs(patterns, folder)


def test_an_array_that_is_no_image_is_refused(finished_run):
    with pytest.raises(UserError, match="float"):
        load_run(finished_run).predict(np.zeros((10, 10, 3)))


def test_a_run_that_was_scored_with_statistics_that_no_checkpoint_holds_gives_a_warning(
    finished_run, monkeypatch
):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_run(finished_run)
    experiment = read_experiment_file(finished_run / "config.json")
    scored = dataclasses.replace(experiment.settings.eval, reestimate_batch_norm=True)
    experiment = dataclasses.replace(
        experiment, settings=dataclasses.replace(experiment.settings, eval=scored)
    )
    monkeypatch.setattr("nucseg_jax.run.read_experiment_file", lambda path: experiment)
    with pytest.warns(UserWarning, match="re-estimated batch-norm statistics"):
        load_run(finished_run)
