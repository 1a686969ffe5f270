"""`measure`: labels of other programs give the table that `predict` would, whatever file they lie in."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.io
import shapely
import tifffile
import zarr
from PIL import Image
from skimage.measure import label as connected_pieces

from nucseg_jax.cli.main import run
from nucseg_jax.images.resolution import MICRONS
from nucseg_jax.inference.formats.table import FORMATS
from nucseg_jax.inference.nuclei import labelled
from nucseg_jax.inference.output.overlay import rims
from tests.conftest import ROOT
from tests.inference.formats.predicted_folder import MICRONS_PER_PX, blobs, numbers_of, predicted


@pytest.fixture(scope="module")
def run_of(tmp_path_factory) -> pathlib.Path:
    """A folder with images and what `predict` found in them, without classes; no test changes it."""
    folder = tmp_path_factory.mktemp("predicted")
    images = {"a.png": blobs(100, 120), "b.png": blobs(70, 80, seed=1)}
    predicted(folder / "nuclei", images, channels=1)
    (folder / "images").mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(folder / "images" / name)
    assert run(["formats", f"--nuclei={folder / 'nuclei'}", "--formats=labels"]) == 0
    return folder


@pytest.fixture
def one(run_of, tmp_path) -> pathlib.Path:
    """A folder with the image a.png alone."""
    shutil.copy(run_of / "images" / "a.png", tmp_path / "a.png")
    return tmp_path


def measure(
    folder: pathlib.Path, labels: object, *flags: str, inputs: str = "a.png", mpp: float | None = 0.25
) -> int:
    scale = [] if mpp is None else [f"--mpp={mpp}"]
    where = [f"--labels={labels}", f"--inputs={folder / inputs}", f"--out={folder / 'out'}"]
    return run(["measure", *where, *scale, *flags])


def table(folder: pathlib.Path, stem: str = "a") -> dict[str, np.ndarray]:
    found = pq.read_table(folder / f"{stem}.nuclei.parquet")
    return {name: found[name].to_numpy() for name in found.column_names}


def polygons(folder: pathlib.Path, stem: str = "a") -> dict[str, shapely.Geometry]:
    features = json.loads((folder / f"{stem}.geojson").read_text())["features"]
    return {each["id"]: shapely.from_geojson(json.dumps(each["geometry"])) for each in features}


@pytest.mark.parametrize("band_px", [1024, 16])
def test_labels_of_a_run_give_its_own_table_outlines_and_masks(run_of, tmp_path, band_px, monkeypatch):
    """All but probabilities, which labels do not state; in whatever windows they are read."""
    monkeypatch.setattr(labelled, "BAND_PX", band_px)
    monkeypatch.setattr("nucseg_jax.inference.output.write_labelled.BAND_PX", band_px)
    shutil.copytree(run_of / "images", tmp_path / "images")
    assert measure(tmp_path, run_of / "nuclei" / "*.labels.ome.tif", inputs="images") == 0
    for stem in "ab":
        before, after = table(run_of / "nuclei", stem), table(tmp_path / "out", stem)
        assert [name for name in before if name != "mean_probability"] == list(after)
        assert len(after["nucleus"]) > 5
        for name, values in after.items():
            if values.dtype == np.float64:
                np.testing.assert_allclose(values, before[name], rtol=1e-9, atol=1e-9)
            else:
                assert values.tolist() == before[name].tolist()
        drawn, given = polygons(tmp_path / "out", stem), polygons(run_of / "nuclei", stem)
        assert drawn.keys() == given.keys()
        assert all(drawn[key].equals(given[key]) for key in drawn)
        mask, overlay = (f"{stem}.{kind}.png" for kind in ("mask", "overlay"))
        assert (tmp_path / "out" / mask).read_bytes() == (run_of / "nuclei" / mask).read_bytes()
        drawn_px = np.asarray(Image.open(tmp_path / "out" / overlay)) != np.asarray(
            Image.open(run_of / "images" / f"{stem}.png")
        )
        np.testing.assert_array_equal(drawn_px.any(axis=-1), rims(numbers_of(tmp_path / "out", stem)))
        np.testing.assert_array_equal(numbers_of(tmp_path / "out", stem), numbers_of(run_of / "nuclei", stem))


def some_ids(shape: tuple[int, int] = (100, 120)) -> np.ndarray:
    """Ids with gaps, one above 65535, one of two pieces, one beside another."""
    ids = np.zeros(shape, np.uint32)
    ids[5:15, 5:20], ids[5:15, 20:30] = 7, 3
    ids[40:50, 40:50], ids[52:60, 40:50] = 70_000, 70_000
    ids[80:90, 80:100] = 12
    return ids


def write(path: pathlib.Path, ids: np.ndarray) -> pathlib.Path:
    if path.suffix == ".npy":
        np.save(path, ids, allow_pickle=False)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, ids)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"inst_map": ids.astype(np.float64), "inst_type": [[1], [2], [1], [2]]})
    else:
        Image.fromarray(ids.astype(np.uint16)).save(path)
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a_masks.tif", "a.mat"])
def test_ids_stay_as_they_are_and_one_in_pieces_is_one_nucleus(one, name, capsys):
    ids = some_ids()
    assert measure(one, write(one / name, ids), "--formats=" + ",".join(FORMATS)) == 0
    out = capsys.readouterr().out
    assert "1 nucleus of several pieces, measured and outlined together" in out
    found = table(one / "out")
    assert found["nucleus"].tolist() == [3, 7, 12, 70_000]
    np.testing.assert_allclose(found["area_um2"], np.array([100, 150, 200, 180]) * MICRONS_PER_PX**2)
    np.testing.assert_array_equal(numbers_of(one / "out", "a"), ids)
    kinds = [shapely.get_type_id(each) for each in polygons(one / "out").values()]
    assert kinds == [shapely.GeometryType.POLYGON] * 3 + [shapely.GeometryType.MULTIPOLYGON]
    classes = ["class 1", "class 2", "class 1", "class 2"] if name == "a.mat" else ["Nucleus"] * 4
    assert found["class"].tolist() == classes
    # What was made of it for other tools.
    labels = tifffile.imread(one / "out" / "a.labels.ome.tif")
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels, ids)
    coco = json.loads((one / "out" / "a.coco.json").read_text())["annotations"]
    assert [(each["id"], each["area"]) for each in coco] == [(3, 100), (7, 150), (12, 200), (70_000, 180)]
    assert "score" not in coco[0]
    geo = json.loads(pq.read_metadata(one / "out" / "a.geo.parquet").metadata[b"geo"])
    assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon", "MultiPolygon"]


def test_outlines_of_qupath_are_measured_with_their_classes(one):
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, y], [x + 20, y], [x + 20, y + 10], [x, y + 10], [x, y]]],
            },
            "properties": {"objectType": "detection", "classification": {"name": name}},
        }
        for x, y, name in ((5, 5, "Tumor"), (50, 60, "Stroma"))
    ]
    (one / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert measure(one, one / "a.geojson") == 0
    found = table(one / "out")
    assert found["class"].tolist() == ["Tumor", "Stroma"]
    np.testing.assert_allclose(found["area_um2"], 200 * MICRONS_PER_PX**2)
    np.testing.assert_allclose(found["x_px"], [15, 60])
    summary = json.loads((one / "out" / "summary.json").read_text())
    assert [each["name"] for each in summary["classes"]] == ["Stroma", "Tumor"]
    assert summary["images"][0]["nuclei_by_class"] == {"Stroma": 1, "Tumor": 1}


def test_a_mask_of_one_value_is_its_connected_pieces(one, run_of):
    shutil.copy(run_of / "nuclei" / "a.mask.png", one / "a.mask.png")
    assert measure(one, one / "a.mask.png") == 0
    mask = np.asarray(Image.open(one / "a.mask.png"))
    assert len(table(one / "out")["nucleus"]) == connected_pieces(mask, connectivity=2).max()


def test_the_same_command_again_writes_nothing_and_another_label_does(one):
    write(one / "a.tif", some_ids())
    assert measure(one, one / "a.tif") == 0
    times = {path: path.stat().st_mtime_ns for path in (one / "out").iterdir() if path.name[:2] == "a."}
    assert len(times) == 6
    assert measure(one, one / "a.tif") == 0
    assert times == {path: path.stat().st_mtime_ns for path in times}
    ids = some_ids()
    ids[ids == 12] = 0
    write(one / "a.tif", ids)
    assert measure(one, one / "a.tif") == 0
    assert table(one / "out")["nucleus"].tolist() == [3, 7, 70_000]
    (one / "out" / "a.nuclei.csv").unlink()
    assert measure(one, one / "a.tif") == 0
    assert len((one / "out" / "a.nuclei.csv").read_text().splitlines()) == 4


def test_the_scale_is_the_images_own_and_without_any_nothing_is_written(one, capsys):
    write(one / "a.tif", some_ids())
    assert measure(one, one / "a.tif", mpp=None) == 2
    assert "no plausible resolution in the metadata (a.png)" in capsys.readouterr().err
    assert not (one / "out" / "a.geojson").exists()
    dots = MICRONS["inch"] / 0.5
    Image.open(one / "a.png").save(one / "a.png", dpi=(dots, dots))
    assert measure(one, one / "a.tif", mpp=None) == 0
    np.testing.assert_allclose(table(one / "out")["area_um2"][0], 100 * 0.25, rtol=1e-3)
    assert measure(one, one / "a.tif", mpp=50) == 2
    assert "--mpp is 50" in capsys.readouterr().err


def test_an_image_without_nuclei_has_an_empty_table(one):
    write(one / "a.tif", np.zeros((100, 120), np.uint16))
    assert measure(one, one / "a.tif", "--formats=" + ",".join(FORMATS)) == 0
    assert len(table(one / "out")["nucleus"]) == 0
    assert (one / "out" / "a.nuclei.csv").read_text().startswith("nucleus,class,x_px,")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (some_ids((120, 100)), "exchange rows and columns"),
        (some_ids((99, 120)), "99 x 120 px"),
        (some_ids() * 0.5, "some values are fractions"),
        (some_ids().astype(np.int64) - 1, "some values are negative"),
        (np.array([[0, 1 << 33], [1 << 33, 1]], np.int64).repeat(50, 0).repeat(60, 1), "the highest id is"),
        (np.indices((100, 120)).sum(0) % 3, "several pieces"),
    ],
    ids=["turned", "size", "fractions", "negative", "high", "classes"],
)
def test_labels_that_cannot_be_are_named_and_the_others_measured(one, run_of, ids, message, capsys):
    write(one / "a.npy", ids)
    shutil.copy(run_of / "images" / "b.png", one / "b.png")
    shutil.copy(run_of / "nuclei" / "b.labels.ome.tif", one / "b.labels.ome.tif")
    labels = f"{one / 'a.npy'},{one / 'b.labels.ome.tif'}"
    assert measure(one, labels, inputs="[ab].png") == 1
    out = capsys.readouterr().out
    assert message in out
    assert str(one / "a.npy") in out
    summary = json.loads((one / "out" / "summary.json").read_text())
    assert [each["label"] for each in summary["failed"]] == [str(one / "a.npy")]
    assert len(table(one / "out", "b")["nucleus"]) > 3


@pytest.mark.parametrize(
    ("labels", "images", "message"),
    [
        (["a.tif", "c.tif"], ["a.png"], "1 label without an image: c.tif"),
        (["a.tif"], ["a.png", "b.png"], "1 image without a label: b.png"),
        (["a.tif", "a_masks.tif"], ["a.png"], "are labels of one image"),
        (["a.tif", "a_1.tif"], ["a.png", "a_1.png"], ""),
        (["a_10.tif"], ["a_1.png"], "1 image without a label: a_1.png; 1 label without an image: a_10.tif"),
    ],
)
def test_labels_belong_to_the_image_whose_name_they_continue(labels, images, message, tmp_path, capsys):
    for folder, names in (("labels", labels), ("images", images)):
        (tmp_path / folder).mkdir()
        for name in names:
            path = tmp_path / folder / name
            if folder == "labels":
                write(path, some_ids())
            else:
                Image.fromarray(blobs(100, 120)).save(path)
    status = measure(tmp_path, tmp_path / "labels", inputs="images")
    assert status == (2 if message else 0)
    assert message in capsys.readouterr().err


def test_the_folder_of_the_labels_is_not_written_to(run_of, capsys):
    nuclei = run_of / "nuclei"
    before = {path.name for path in nuclei.iterdir()}
    flags = [
        f"--labels={nuclei}/*.labels.ome.tif",
        f"--inputs={run_of / 'images'}",
        f"--out={nuclei}",
        "--mpp=0.25",
    ]
    assert run(["measure", *flags]) == 2
    assert "there are labels in" in capsys.readouterr().err
    assert {path.name for path in nuclei.iterdir()} == before


def test_it_needs_no_jax(one):
    """In a process of its own."""
    write(one / "a.tif", some_ids())
    code = (
        "import sys; from nucseg_jax.cli.main import run; status = run(sys.argv[1:]);"
        " loaded = {'jax', 'flax', 'tensorflow'} & {name.partition('.')[0] for name in sys.modules};"
        " assert not loaded, loaded; sys.exit(status)"
    )
    arguments = [
        f"--labels={one / 'a.tif'}",
        f"--inputs={one / 'a.png'}",
        f"--out={one / 'out'}",
        "--mpp=0.25",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "measure", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert zarr.open_group(one / "out" / "a.probability.zarr", mode="r")["nucleus"].shape == (100, 120)
