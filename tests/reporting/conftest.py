"""Small run folders in the formats that train and evaluate write, made without training."""

import json
import pathlib

import numpy as np
import pytest

from configs import base
from nucseg_jax.core.files import write_json
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import SPLIT_NAMES, Splits, official_splits
from nucseg_jax.evaluation import examples as evaluation_examples
from nucseg_jax.evaluation.calibration import write_levels
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.examples import Examples
from nucseg_jax.evaluation.per_image import per_image_path, write_per_image
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.reporting.page.document import Document
from nucseg_jax.reporting.page.write import write_report
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.reading.paper import PAPER_MODELS
from nucseg_jax.reporting.sections.compose import Wishes, compose, is_of_the_paper, make_parts
from nucseg_jax.run_folder.metrics_log import MetricsLog

FOLD_SIZES = {1: 20, 2: 14, 3: 24}
PIXELS = 256 * 256
EPOCHS = 5
# Of PanNuke's five classes: in which share of the patches there are some, and how well they are found.
PRESENCE = np.array([0.8, 0.6, 0.7, 0.35, 0.4])
EASE = np.array([1.0, 0.8, 0.7, 0.3, 0.9])


def split_counts(
    split: str, patches: int, *, seed: int, quality: float, classes: int = 1, groups: int = 19
) -> Counts:
    """Counts of one model: the truth depends on the split alone, so that models meet the same patches."""
    truth, model = np.random.default_rng(len(split)), np.random.default_rng((seed, len(split)))
    nuclei = np.where(truth.random(patches) < 0.15, 0, truth.integers(1_500, 30_000, patches))
    group = truth.choice([3, 5, 8, 18], patches) % groups
    found = np.clip(quality + 0.08 * model.standard_normal(patches), 0.05, 0.99)
    tp = (found * nuclei).astype(int)
    fp = np.minimum(((1 - found) * 9_000).astype(int), PIXELS - nuclei)
    cells = np.stack([tp, fp, nuclei - tp, PIXELS - nuclei - fp], axis=-1)
    of_classes = class_cells(nuclei, found, truth=np.random.default_rng((len(split), 6)))
    return Counts.from_batch(
        counts=np.concatenate([cells[:, None], of_classes], axis=1)[:, :classes],
        index=np.arange(patches),
        group=group,
        losses={"dice_loss": (1 - found).astype(np.float32)},
        valid=np.ones(patches, bool),
    )


def class_cells(nuclei: np.ndarray, found: np.ndarray, *, truth: np.random.Generator) -> np.ndarray:
    """Counts [N, 5, 4] of the classes that the nucleus pixels [N] are shared out to."""
    share = truth.random((len(nuclei), 5)) * (truth.random((len(nuclei), 5)) < PRESENCE)
    pixels = (share / np.maximum(share.sum(axis=1, keepdims=True), 1e-9) * nuclei[:, None]).astype(int)
    tp = (found[:, None] * EASE * pixels).astype(int)
    fp = np.broadcast_to(((1 - found) * 1_500).astype(int)[:, None], tp.shape)
    return np.stack([tp, fp, pixels - tp, PIXELS - pixels - fp], axis=-1)


def entry(counts: Counts, penalty: float, info: DatasetInfo = PANNUKE) -> dict:
    losses = counts.mean_losses()
    return {**counts.scores(info), "loss": losses["dice_loss"] + penalty, **losses, "l2_penalty": penalty}


def write_calibration(path: pathlib.Path, *, seed: int) -> None:
    level = np.arange(256)
    total = np.where((level < 8) | (level > 247), 90_000, 900) + np.random.default_rng(seed).integers(
        0, 300, 256
    )
    nucleus = (total * (level / 255) ** 1.3).astype(int)
    write_levels(path, np.stack([total - nucleus, nucleus], axis=1))


def index_of(info: DatasetInfo | None) -> PatchIndex:
    """Patches of the folds: of images, where the data set is not PanNuke's."""
    fold = np.repeat(list(FOLD_SIZES), list(FOLD_SIZES.values())).astype(np.int32)
    row = np.concatenate([np.arange(size) for size in FOLD_SIZES.values()]).astype(np.int32)
    image = tuple("" if info is None else f"slide{number}.png" for number in fold)
    return PatchIndex(fold, row, None, image, 256 * row, 512 * row, ("",) * len(fold))


def write_examples(
    path: pathlib.Path, patches: np.ndarray, *, seed: int, info: DatasetInfo | None = None
) -> None:
    """Discs on flat tissue; what is predicted are the same discs, a little aside."""
    chosen = ["spread"] * 5 + ["best", "best", "worst", "worst"]
    position = np.array([0, 4, 9, 12, len(patches) - 1, 4, 9, 0, 12], np.int32)
    rows, columns = np.mgrid[:256, :256]
    aside = np.random.default_rng(seed).integers(2, 9)
    truth, prediction = np.zeros((2, len(chosen), 256, 256), bool)
    for number, place in enumerate(position):
        rng = np.random.default_rng(place)
        for _ in range(12):
            top, left, radius = rng.integers(0, 256), rng.integers(0, 256), rng.integers(8, 22)
            truth[number] |= (rows - top) ** 2 + (columns - left) ** 2 < radius**2
            prediction[number] |= (rows - top - aside) ** 2 + (columns - left) ** 2 < radius**2
    image = np.full((*truth.shape, 3), (228, 190, 214), np.uint8)
    image[truth] = (110, 70, 140)
    index = index_of(info)
    at = index.positions(patches[position])
    kept = Examples(
        position=position,
        fold=patches[position, 0].astype(np.int32),
        row=patches[position, 1].astype(np.int32),
        group=np.full(len(chosen), 3 if info is None else 1, np.int32),
        chosen=np.array(chosen),
        source=np.array([index.image[place] for place in at], np.str_),
        top=index.top[at],
        left=index.left[at],
        image=image,
        truth=truth,
        prediction=prediction,
        probability=np.where(prediction, 225, 12).astype(np.uint8),
        void=np.zeros_like(truth),
    )
    evaluation_examples.write_examples(path, kept)


def write_run(
    path: pathlib.Path,
    fields: dict | None = None,
    *,
    quality: float = 0.75,
    finished: bool = True,
    complete: bool = True,
    split_number: int = 1,
    info: DatasetInfo | None = None,
    label: str = "",
    index: int | None = None,
) -> pathlib.Path:
    """A run folder.

    Args:
      fields: changes of the config, by 'section.field'.
      quality: share of nucleus pixels that the model finds.
      finished: with results.
      complete: with calibration, examples, inference times and other batch-norm statistics.
      info: of the data set; None = PanNuke's, without a dataset.json, as earlier versions left it.
      label, index: of the sweep's row; '' = of no sweep, None = as earlier versions left it.
    """
    described = info or PANNUKE
    groups = len(described.groups)
    config = json.loads(base.get_config().to_json())
    fields = {"train.epochs": EPOCHS, "split.number": split_number, **(fields or {})}
    for name, value in fields.items():
        section, field = name.split(".")
        config[section][field] = value
    seed, classes = config["train"]["seed"], config["model"]["num_classes"]
    splits = official_splits(FOLD_SIZES, number=split_number)
    path.mkdir(parents=True)
    write_json(path / "config.json", config)
    write_json(
        path / "split.json", {"digest": splits.digest, "data_digest": "d" * 64, "lists": splits.as_json()}
    )
    flags = " ".join(f"--config.{name}={value}" for name, value in fields.items())
    if info is not None:
        info.write(path)
    environment = {
        "python": "3.11.7",
        "jax": {"backend": "cpu", "device_kind": "cpu", "device_count": 1},
        "cpu_count": 2,
        "git": {"commit": "a1b2c3d" + "0" * 33, "dirty": False},
        "command": f"launch.py train --config=configs/base.py {flags} --workdir={path}",
    }
    if label:
        row = {"file": "sweep.py", "label": label} | ({} if index is None else {"index": index})
        environment["started_from"] = {"config": "configs/base.py", "overrides": fields, "sweep": row}
    write_json(path / "environment.json", environment)
    if config["pretrained"]["path"]:
        name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
        write_json(path / "pretrained.json", {"digest": "e" * 64, "source": {"name": name}})
    penalty = 0.04
    with MetricsLog(path / "metrics.jsonl") as log:
        for epoch in range(1, (EPOCHS if finished else 2) + 1):
            at_epoch = quality * (1 - 0.5 / epoch)
            values = {}
            for split in ("train", "validation"):
                patches = len(getattr(splits, split))
                counts = split_counts(
                    split, patches, seed=seed, quality=at_epoch, classes=classes, groups=groups
                )
                values[split] = entry(counts, penalty, described)
                if split == "validation" and complete:
                    better = split_counts(split, patches, seed=seed, quality=at_epoch + 0.03, groups=groups)
                    values[split]["batch_statistics"] = entry(better, penalty, described)
            values["train"] = {
                name: values["train"][name] for name in ("micro", "loss", "dice_loss", "l2_penalty")
            }
            log.write(step=10 * epoch, epoch=epoch, kind="epoch", values={**values, "learning_rate": 1e-3})
    start = {"imports": 1.0, "training": 90.0 + seed, "validation": 12.0, "program": 6.0, "test": 3.0}
    timing: dict = {"starts": [{**start, "program_from": "compilation"}]}
    if not finished:
        write_json(path / "timing.json", timing)
        return path
    if complete:
        timing["inference"] = [
            {
                "batch_size": size,
                "ms_per_image": 80.0 / size,
                "p10_ms": 70 / size,
                "p90_ms": 90 / size,
                "repeats": 9,
            }
            for size in (1, 8)
        ]
    write_json(path / "timing.json", timing)
    write_scores(
        path,
        splits,
        seed=seed,
        quality=quality,
        classes=classes,
        penalty=penalty,
        complete=complete,
        info=info,
    )
    return path


def write_scores(
    path: pathlib.Path,
    splits: Splits,
    *,
    seed: int,
    quality: float,
    classes: int,
    penalty: float,
    complete: bool,
    info: DatasetInfo | None = None,
) -> None:
    """results.json and all that lies beside it."""
    results = {}
    described = info or PANNUKE
    groups = len(described.groups)
    for number, split in enumerate(SPLIT_NAMES):
        patches = getattr(splits, split)
        counts = split_counts(
            split, len(patches), seed=seed, quality=quality - 0.02 * number, classes=classes, groups=groups
        )
        table = per_image_path(path, split)
        write_per_image(table, counts, patches, info=described, index=index_of(info))
        results[split] = {**entry(counts, penalty, described), "foreground_rule": FOREGROUND_RULE}
        if complete:
            for name, gain in (("batch_statistics", 0.02), ("reestimated_statistics", 0.03)):
                other = split_counts(split, len(patches), seed=seed, quality=quality + gain, groups=groups)
                results[split][name] = entry(other, penalty, described)
            write_calibration(path / f"calibration_{split}.csv", seed=seed)
            if split != "train":
                write_examples(path / f"examples_{split}.npz", patches, seed=seed, info=info)
    write_json(path / "results.json", results)


def write_baselines(run: pathlib.Path) -> None:
    """What `evaluate --baselines` leaves."""
    record = json.loads((run / "split.json").read_text())
    results = json.loads((run / "results.json").read_text())
    baseline = split_counts("test", FOLD_SIZES[3], seed=99, quality=0.6).scores(PANNUKE)
    out = run / "evaluations" / "test-dddddddd-00000000"
    out.mkdir(parents=True)
    about = {
        "checkpoint_step": 50,
        "split_digest": record["digest"],
        "data_digest": record["data_digest"],
        "eval": {"reestimate_batch_norm": False, "compare_statistics": "never"},
        "forced": False,
    }
    write_json(
        out / "results.json",
        {"test": results["test"], "baselines": {"otsu_hematoxylin": {"test": baseline}}, "about": about},
    )


IMAGENET = {"pretrained.path": "weights/resnet50"}


@pytest.fixture(scope="session")
def run_folders(tmp_path_factory) -> pathlib.Path:
    """Three configurations of two seeds, one of them with classes, one of one seed without the newer files, one
    unfinished, and wreckage.
    """
    root = tmp_path_factory.mktemp("report") / "runs"
    for seed in (0, 1):
        imagenet = write_run(root / f"imagenet_{seed}", {**IMAGENET, "train.seed": seed}, quality=0.86)
        write_run(
            root / f"scratch_{seed}",
            {"train.seed": seed, "train.feed": ("device", "host")[seed]},
            quality=0.7,
        )
        classes = {"model.num_classes": 6, "train.seed": seed}
        write_run(root / f"classes_{seed}", classes, quality=0.75, complete=False)
    write_baselines(imagenet)
    unet = {"model.decoder": "unet", "loss.l2": 0.01}
    write_run(root / "unet", unet, quality=0.8, complete=False)
    write_run(root / "unfinished", {**unet, **IMAGENET}, finished=False)
    (write_run(root / "truncated") / "config.json").write_text('{"model": {')
    (root / "notes").mkdir()
    return root


MODELS = [
    {
        "name": paper.name,
        "source": paper.config,
        "is_paper": True,
        "encoder": paper.encoder,
        "decoder": paper.decoder,
        "parameters_total": paper.parameters,
        "size_mb": paper.size_mb,
        "dropout": paper.dropout,
        "l2": paper.l2,
        "flops_forward": 35.3e9,
    }
    for paper in PAPER_MODELS
]


def compose_page(pattern: str, out: pathlib.Path, **asked) -> Document:
    """What `report` does, but for counting the models' parameters, which takes JAX."""
    wishes = Wishes(**asked)
    found = find_runs(pattern, not_in=out)
    cohorts = make_cohorts(found.runs)
    models = MODELS if wishes.is_paper or any(map(is_of_the_paper, cohorts)) else []
    configs = {row["name"]: json.loads(base.get_config().to_json()) for row in models}
    document = compose(found, make_parts(cohorts, wishes, configs), wishes, models)
    write_report(document, out)
    return document


@pytest.fixture(scope="session")
def make_page():
    """`compose_page`."""
    return compose_page


@pytest.fixture(scope="session")
def make_run():
    """`write_run`."""
    return write_run


@pytest.fixture(scope="session")
def report_folder(run_folders, tmp_path_factory) -> pathlib.Path:
    """The report of all these runs."""
    out = tmp_path_factory.mktemp("page") / "report"
    compose_page(str(run_folders / "*"), out, has_pictures=True)
    return out
