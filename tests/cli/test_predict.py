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
from nucseg_jax.cli.predict import PredictSettings, data_facts, predict, predict_files
from nucseg_jax.cli.predict_looks import Grid, look_at
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images import open_source
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.nuclei.measure import COLUMNS
from nucseg_jax.inference.output import mask_file, write_images
from nucseg_jax.inference.tiling import tissue
from nucseg_jax.inference.tiling.job import plan_job
from nucseg_jax.ops.probability import FOREGROUND_RULE
from tests.cli.predicted_files import contents
from tests.images.test_regular_files import ome_tiff_with_a_plane_in
from tests.images.test_zarr_bounds import write_header

TILE_PX = 64
SETTINGS = PredictSettings(
    microns_per_px=None, tile_px=TILE_PX, overlap_px=32, rule=NucleusRule(threshold=0.5)
)


@pytest.fixture(scope="module")
def painted_image() -> np.ndarray:
    """A field of painted tissue, uint8 [300, 230, 3]."""
    from nucseg_jax.data.sources.pannuke.synthetic import paint_patch

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


def make_bad_inputs(folder: pathlib.Path, good: pathlib.Path) -> dict[str, str]:
    """Writes one of each kind that once stopped a whole `predict`, or made it wait; the reasons by name."""
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / ".pipe")
    (folder / "to_pipe.tif").symlink_to(".pipe")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "nothing.png").symlink_to("nowhere.png")
    (folder / "folder.svs").mkdir()
    (folder / "truncated.png").write_bytes(good.read_bytes()[:5000])
    (folder / "empty.tif").write_bytes(b"")
    os.mkfifo(folder / "planes.tif")
    ome_tiff_with_a_plane_in(folder / "set.ome.tif", "planes.tif")
    write_header(folder / "large.zarr", shape=[100_000, 100_000], chunks=[100_000, 100_000])
    write_header(folder / "small.zarr", shape=[4000, 4000, 3], chunks=[1, 1, 1])
    return {
        **dict.fromkeys(("pipe.png", "to_pipe.tif", "planes.tif"), "is a pipe"),
        "set.ome.tif": "other parts lie in 'planes.tif'",
        "device.png": "is a device",
        "circle.png": "in a circle",
        "nothing.png": "does not exist",
        "folder.svs": "it is a folder",
        "truncated.png": "truncated",
        "empty.tif": "empty",
        "large.zarr": "9,537 MiB",
        "small.zarr": "3,072,000 of them",
    }


def test_good_images_finish_and_bad_ones_are_listed(command_line, finished_run, painted_image, tmp_path):
    """In one process, of which two images are good, one of them under a name of 254 bytes and with a comma.

    Standard output is of an encoding that lacks its characters, and one name holds a carriage return.
    """
    inputs, good = tmp_path / "in[1], new", ["good.png", "切," + "片" * 82 + ".png"]
    inputs.mkdir()
    for name in good:
        Image.fromarray(painted_image[:80]).save(inputs / name)
    for companion in ("._good.png", ".DS_Store", "Thumbs.db"):
        (inputs / companion).write_bytes(b"\0\5\x16\7")
    reasons = make_bad_inputs(inputs, inputs / "good.png")
    hidden = "no\rpicture\x1b[2K.png"
    (inputs / hidden).write_bytes(b"\0" * 9)
    status, out, err = command_line.run(
        "predict",
        f"--workdir={finished_run}",
        f"--inputs={inputs}/*,{inputs / good[1]}",
        f"--out={tmp_path / 'out'}",
        f"--tile_px={TILE_PX}",
        "--overlap_px=32",
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert status == 1, err
    assert "Traceback" not in err
    assert "2 images with no plausible resolution" in out
    # Bars, which rewrite their line; the pipe gives their carriage returns as line ends.
    assert "%|" not in out + err
    assert r"no\rpicture\x1b[2K.png: " in out
    assert f"{inputs / good[1]}: ".encode("ascii", "backslashreplace").decode() in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["foreground_rule"] == FOREGROUND_RULE
    assert [pathlib.Path(entry["input"]).name for entry in summary["images"]] == good
    assert all((tmp_path / "out" / name).exists() for entry in summary["images"] for name in entry["files"])
    failed = {pathlib.Path(entry["input"]).name: entry["reason"] for entry in summary["failed"]}
    assert set(failed) == {*reasons, hidden}
    assert {name for name, words in reasons.items() if words not in failed[name]} == set()
    assert all(f"{inputs / name}: " in out for name in reasons)
    stems = [entry["files"][0].removesuffix(".mask.png") for entry in summary["images"]]
    left = [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(tuple(stems))]
    assert {path.name for path in left} == {
        *("summary.json", ".lock"),
        *(f".{stem}.journal.json" for stem in stems),
    }


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


@pytest.mark.parametrize(("stop_at", "is_damaged"), [(1, False), (3, True)])
def test_a_stopped_job_goes_on_after_what_is_left_of_it_and_ends_the_same(
    stop_at, is_damaged, finished_run, predicted, tmp_path, monkeypatch, capsys
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
    if is_damaged:
        # Its rows would read as background.
        (tmp_path / ".field.probability.unfinished" / "probability" / "c" / "0" / "0").unlink()
    rows = []
    monkeypatch.setattr(
        write_images,
        "write_journal",
        lambda path, journal: (write(path, journal), rows.append(journal.rows_done)),
    )
    assert run_predict(finished_run, [predicted / "field.tif"], tmp_path) == 0
    assert (min(rows) > written[-1]) != is_damaged
    assert contents(tmp_path, "field") == contents(predicted / "out", "field")


def test_finished_images_are_left_alone_until_something_changes(finished_run, predicted, tmp_path, capsys):
    out, image = tmp_path / "out", predicted / "field.tif"
    shutil.copytree(predicted / "out", out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name.startswith("field.")}
    os.utime(image)
    assert run_predict(finished_run, [image], out) == 0
    assert "1 image finished before" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    # An output that was emptied, and one of which a part is gone.
    (out / "field.mask.png").write_bytes(b"")
    (out / "field.probability.zarr" / "probability" / "c" / "0" / "0").unlink()
    assert run_predict(finished_run, [image], out) == 0
    assert "field.mask.png, field.probability.zarr changed or vanished" in capsys.readouterr().out
    assert contents(out, "field") == contents(predicted / "out", "field")
    views = dataclasses.replace(SETTINGS, views=8)
    assert run_predict(finished_run, [image], out, views) == 0
    printed = capsys.readouterr().out
    assert "1 image, mean of 8 views" in printed
    assert "finished before" not in printed
    assert json.loads((out / "summary.json").read_text())["settings"]["views"] == 8
    assert contents(out, "field") != contents(predicted / "out", "field")
    other = PredictSettings(microns_per_px=0.5, tile_px=TILE_PX, overlap_px=32, rule=NucleusRule())
    assert run_predict(finished_run, [image], out, other) == 0
    (entry,) = json.loads((out / "summary.json").read_text())["images"]
    assert (entry["microns_per_px"], entry["resolution_from"], entry["notes"]) == (0.5, "--mpp", [])


def test_an_image_that_was_replaced_by_one_of_the_same_size_and_time_is_predicted_again(
    finished_run, painted_image, tmp_path, capsys
):
    """Beside images under names that no text, or no place, or another image's working files stand in the way of."""
    for name in (".a.png", "a.png", "b.png", os.fsdecode(b"Pr\xe9p.png")):
        Image.fromarray(painted_image[:70, :70]).save(tmp_path / name)
    image = tmp_path / "c.tif"
    tifffile.imwrite(image, painted_image[:70, :70], photometric="rgb")
    before = image.stat()
    (tmp_path / "out" / "b.geojson" / "not_empty").mkdir(parents=True)

    def predicted_now() -> dict[str, dict[str, object]]:
        assert run_predict(finished_run, [tmp_path], tmp_path / "out") == 2
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        reasons = {entry["input"]: entry["reason"] for entry in summary["failed"]}
        assert "its outputs cannot be written" in reasons[str(tmp_path / "b.png")]
        assert "not UTF-8" in reasons[str(tmp_path / "Pr\udce9p.png")]
        entries = {pathlib.Path(entry["input"]).name: entry for entry in summary["images"]}
        assert set(entries) == {".a.png", "a.png", "c.tif"}
        assert all((tmp_path / "out" / file).exists() for each in entries.values() for file in each["files"])
        return entries

    assert predicted_now()["c.tif"]["notes"] == []
    assert "Pr\\udce9p.png" in capsys.readouterr().out
    tifffile.imwrite(image, np.zeros((70, 70, 3), np.uint8), photometric="rgb")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert image.stat().st_size == before.st_size
    (remark,) = [note for note in predicted_now()["c.tif"]["notes"] if note.startswith("all black")]
    printed = capsys.readouterr().out
    assert f"{image}: {remark}" in printed
    assert "2 images finished before" in printed


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


def test_what_was_predicted_under_other_names_or_at_another_scale_is_predicted_again(
    finished_run, painted_image, tmp_path, capsys
):
    run = load_run(finished_run)
    assert run.info == PANNUKE
    assert run.tiles() == (256, 64)
    assert dataclasses.replace(run, info=dataclasses.replace(PANNUKE, patch_px=96)).tiles() == (96, 48)
    Image.fromarray(painted_image[:70, :70]).save(tmp_path / "a.png")

    def tells(info) -> str:
        predict_files(
            dataclasses.replace(run, info=info),
            [tmp_path / "a.png"],
            tmp_path / "out",
            SETTINGS,
            batch_size=8,
        )
        return capsys.readouterr().out

    tells(PANNUKE)
    assert "1 image finished before" in tells(PANNUKE)
    # A model without classes has nothing to do with their names.
    assert "1 image finished before" in tells(dataclasses.replace(PANNUKE, classes=PANNUKE.classes[::-1]))
    out = tells(dataclasses.replace(PANNUKE, microns_per_px=0.5))
    assert "finished before" not in out
    assert "assumed to be 0.5 microns per pixel" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["model_microns_per_px"], summary["images"][0]["microns_per_px"]) == (0.5, 0.5)


def test_the_facts_that_predictions_depend_on_hold_names_and_colours_of_classes(finished_run):
    run = load_run(finished_run)
    recoloured = tuple(each._replace(color=(1, 2, 3)) for each in PANNUKE.classes)
    infos = [
        PANNUKE,
        dataclasses.replace(PANNUKE, classes=PANNUKE.classes[::-1]),
        dataclasses.replace(PANNUKE, classes=recoloured),
        dataclasses.replace(PANNUKE, microns_per_px=0.5),
    ]
    facts = [json.dumps(data_facts(info, num_classes=6)) for info in infos]
    assert len(set(facts)) == len(infos)
    assert data_facts(run.info, num_classes=1) == {"model_microns_per_px": 0.25, "classes": []}


@pytest.mark.parametrize(("power", "microns"), [(20, 0.5), (40, 0.25)])
def test_an_objective_without_microns_is_named_and_can_set_the_scale(power, microns, tmp_path, capsys):
    path = tmp_path / "a.tif"
    about = f"Aperio Image Library v11|AppMag = {power}"
    tifffile.imwrite(
        path, np.zeros((90, 70, 3), np.uint8), photometric="rgb", description=about, metadata=None
    )
    for is_used in (False, True):
        settings = dataclasses.replace(SETTINGS, mpp_from_objective=is_used)
        look_at([path], settings, Grid(0.25, TILE_PX, 32), {})
        out = capsys.readouterr().out
        assert (f"a.tif: {power}x, usually {microns}" in out and "--mpp_from_objective" in out) != is_used
        job = plan_job(
            path,
            open_source.open_source(path),
            microns_per_px=None,
            model_microns_per_px=0.25,
            tile_px=TILE_PX,
            overlap_px=32,
            mpp_from_objective=is_used,
        )
        assert job.resolution.microns_per_px == (microns if is_used else 0.25)
        assert (f"objective of {power}x" in job.resolution.found_in) == is_used
        job.view.source.close()


def test_notes_on_an_image_are_printed_and_kept(finished_run, painted_image, tmp_path, capsys):
    """Bits that the header leaves out, and what the summary tells of the objective."""
    about = "Aperio Image Library v11|AppMag = 40|MPP = 0.25"
    dark = (painted_image[:70, :70] // 16).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", dark, photometric="rgb", description=about, metadata=None)
    assert run_predict(finished_run, [tmp_path / "a.tif"], tmp_path / "out") == 0
    (entry,) = json.loads((tmp_path / "out" / "summary.json").read_text())["images"]
    assert entry["objective_power"] == 40
    (note,) = [note for note in entry["notes"] if "levels lie within" in note]
    assert f"a.tif: {note}" in capsys.readouterr().out


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
    scored = dataclasses.replace(experiment.config.eval, reestimate_batch_norm=True)
    experiment = dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, eval=scored))
    monkeypatch.setattr("nucseg_jax.load.read_experiment_file", lambda path: experiment)
    with pytest.warns(UserWarning, match="re-estimated batch-norm statistics"):
        load_run(finished_run)
