"""A data set that the package has never heard of, from images to a report: 2 classes, 2 groups, 2 folds, 128 px."""

import csv
import functools
import json
import operator
import pathlib

import numpy as np
import pytest
import shapely
from PIL import Image

from nucseg_jax import load_run
from tests.conftest import ROOT, CommandLine

CLASSES = ("Big one", "small")
IMAGES = {"a1": "ward A", "a2": "ward A", "b1": "ward B", "b2": "ward B"}
HEIGHT, WIDTH = 200, 256


def write_image(folder: pathlib.Path, name: str, seed: int) -> None:
    """Dark discs on pink, the large ones of one class and the small ones of the other, and their outlines."""
    rng = np.random.default_rng(seed)
    image = rng.normal((225, 170, 205), 6, (HEIGHT, WIDTH, 3))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    features = []
    for row in range(4):
        for column in range(6):
            radius, name_of_class = ((14, CLASSES[0]), (6, CLASSES[1]))[(row + column) % 2]
            disc = shapely.Point(22 + 42 * column, 24 + 48 * row).buffer(radius)
            image[np.hypot(x - disc.centroid.x, y - disc.centroid.y) < radius] *= (0.45, 0.35, 0.6)
            properties = {"objectType": "annotation", "classification": {"name": name_of_class}}
            features.append(
                {"type": "Feature", "geometry": shapely.geometry.mapping(disc), "properties": properties}
            )
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
    (folder / "labels" / f"{name}.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features})
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> pathlib.Path:
    """Images, labels, groups and the folds of a table."""
    folder = tmp_path_factory.mktemp("lab")
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for seed, name in enumerate(IMAGES):
        write_image(folder, name, seed)
    (folder / "dataset.yaml").write_text(
        "name: discs\nmicrons_per_px: 0.5\nclasses: {Big one: '#010203', small: '#c80000'}\n"
        f"groups: {json.dumps(IMAGES)}\n"
    )
    (folder / "folds.csv").write_text(
        "image,fold\n" + "".join(f"{name},{group[-1]}\n" for name, group in IMAGES.items())
    )
    return folder


def test_it_goes_from_images_to_a_report_by_commands_alone(lab, tmp_path, warm_server):
    line = CommandLine(tmp_path / "prepared", warm_server)
    config = [
        *(f"--config={ROOT / 'configs' / 'folder.py'}", f"--config.data.release_dir={lab}"),
        *(f"--config.data.dir={tmp_path / 'prepared'}", "--config.data.patch_px=128"),
        *("--config.data.microns_per_px=0.5", "--config.model.num_classes=3"),
        *("--config.split.protocol=table", f"--config.split.table={lab / 'folds.csv'}"),
        *(
            "--config.split.column=fold",
            "--config.model.width=0.125",
            "--config.model.encoder_depths=(1, 1, 1)",
        ),
        *("--config.pretrained.path=", "--config.train.tile_px=64", "--config.train.epochs=2"),
        *("--config.train.batch_size=4", "--config.eval.overlays=2", "--config.eval.time_inference=False"),
    ]
    run, nuclei, report = tmp_path / "run", tmp_path / "nuclei", tmp_path / "report"
    image = lab / "images" / "a1.png"
    told = {}
    for command, *flags in (
        ["prepare", *config],
        ["train", *config, f"--workdir={run}"],
        ["evaluate", f"--workdir={run}", "--baselines"],
        ["predict", f"--workdir={run}", f"--inputs={image}", f"--out={nuclei}", "--mpp=0.5"],
        ["report", f"--runs={run}", f"--out={report}"],
    ):
        status, told[command], err = line.run(command, *flags)
        assert status == 0, (command, err)

    assert "16 patches of 128 px at 0.5 microns" in told["prepare"]
    assert "Big one" in told["prepare"]
    assert "Neoplastic" not in told["prepare"]
    assert (tmp_path / "prepared" / "nuclei" / "1.0.0" / "contact_sheet.png").stat().st_size > 10_000

    lines = {
        split: list(csv.DictReader((run / f"per_image_{split}.csv").open(newline="", encoding="utf-8")))
        for split in ("train", "validation", "test")
    }
    assert {each["group"] for each in lines["test"]} == {"ward A"}
    assert {each["group"] for each in lines["train"] + lines["validation"]} == {"ward B"}
    assert sorted((each["image"], each["top"], each["left"]) for each in lines["test"]) == [
        (f"{name}.png", top, left) for name in ("a1", "a2") for top in ("0", "128") for left in ("0", "128")
    ]
    for each in functools.reduce(operator.iadd, lines.values(), []):
        cells = [int(each[f"big_one_{cell}"]) for cell in ("tp", "fp", "fn", "tn")]
        # The lower patches reach 56 px over the edge: nobody annotated there.
        assert sum(cells) == (128 * 128 if each["top"] == "0" else 72 * 128)
    results = json.loads((run / "results.json").read_text())
    assert set(results["test"]["classes"]) == set(CLASSES)
    assert "group" in results["test"]
    assert "tissue" not in results["test"]

    found = json.loads((nuclei / "a1.geojson").read_text())["features"]
    colors = {
        each["properties"]["classification"]["name"]: each["properties"]["classification"]["color"]
        for each in found
    }
    assert colors.items() <= {"Big one": [1, 2, 3], "small": [200, 0, 0]}.items()
    page = (report / "report.html").read_text()
    assert "discs, patches of 128 px at 0.5 microns per pixel" in page
    assert "Big one" in page
    assert "Neoplastic" not in page
    opened = load_run(run)
    assert opened.info.class_names == CLASSES
    assert opened.info.microns_per_px == 0.5
