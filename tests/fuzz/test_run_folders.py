"""Damaged files of finished runs: each is named, what it holds is passed over, and the other runs are reported."""

import json
import pathlib
import shutil
import tempfile

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.reporting.page.document import Document, Warn
from nucseg_jax.reporting.page.write import write_report
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import Found, find_runs
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.sections.compose import Wishes, compose, make_parts
from nucseg_jax.run_folder.check import finish
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import JSON, altered, damaged
from tests.reporting.conftest import MODELS, write_baselines, write_run
from tests.reporting.nuclei_of_runs import add_nuclei

# What Python's parser takes and no other, and what it ends in a RecursionError on.
RAW = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 5000,
    b'"\\ud800"',
    b"",
    b"null",
]
RAW += [b'{"starts": [{"training": 1e999}]}', b'{"command": "train \'"}', b'{"git": {"commit": ["a"]}}']


SEEDS = range(1, 4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> pathlib.Path:
    """`whole` and one run for each of `SEEDS`, as an earlier version wrote them: without digests."""
    root = tmp_path_factory.mktemp("fuzz") / "runs"
    write_run(root / "whole", quality=0.8)
    # With a dataset.json, and the places of patches beside their counts.
    first = write_run(root / "1", {"train.seed": 1, "pretrained.path": "weights"}, info=PANNUKE)
    write_baselines(first)
    add_nuclei(first, quality=0.8)
    for seed in SEEDS[1:]:
        other = shutil.copytree(first, root / str(seed))
        config = json.loads((other / "config.json").read_text())
        config["train"]["seed"] = seed
        write_json(other / "config.json", config)
    return root


@pytest.fixture(scope="module")
def recorded(runs, tmp_path_factory) -> pathlib.Path:
    """A finished run of this version, without its checkpoints: record.json alone tells what was written."""
    run = shutil.copytree(runs / "1", tmp_path_factory.mktemp("recorded") / "run")
    split = json.loads((run / "split.json").read_text())
    record = RunRecord(
        source="",
        step=50,
        config=json.loads((run / "config.json").read_text()),
        split_digest=split["digest"],
        data_digest=split["data_digest"],
    )
    finish(RunFolder(run), record, json.loads((run / "results.json").read_text()))
    return run


def files_of(run: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())


@st.composite
def replaced(draw: st.DrawFn, path: pathlib.Path) -> bytes:
    """Other content for a file: damaged bytes, or valid JSON of another shape, in one line of JSON lines."""
    content = path.read_bytes()
    kind = draw(st.sampled_from(["bytes", "json", "altered", "raw"]))
    if kind == "bytes" or path.suffix == ".npz":
        return draw(damaged(content))
    if path.suffix == ".csv":
        lines = content.splitlines(keepends=True)
        cells = lines[1].split(b",")
        place = draw(st.integers(0, len(cells) - 1))
        cells[place] = draw(st.sampled_from([b"", b"-1", b"1e999", b"9" * 400, b"nan", b"\0", b'"', b"x"]))
        return b"".join([lines[0], b",".join(cells), *lines[2:]])
    head, last = content.rsplit(b"\n", 2)[:2] if path.suffix == ".jsonl" else (b"", content)
    if kind == "raw":
        new = draw(st.sampled_from(RAW))
    else:
        values = json.loads(last)
        new = json.dumps(draw(JSON) if kind == "json" else draw(altered(values))).encode()
    return b"".join([head, b"\n", new, b"\n"]) if path.suffix == ".jsonl" else new


def report(root: pathlib.Path) -> tuple[Found, Document]:
    """What `report` reads and writes."""
    found = find_runs(f"{root}/*", not_in=root / "out")
    wishes = Wishes(has_pictures=True)
    document = compose(found, make_parts(make_cohorts(found.runs), wishes, {}), wishes, MODELS)
    write_report(document, root.parent / "report")
    return found, document


@fuzzed(cases=25)
@given(data=st.data())
def test_what_a_damaged_file_holds_is_read_or_named(runs, data):
    """Of an earlier version's run, where no digest helps and the parsers have to."""
    with tempfile.TemporaryDirectory() as folder:
        run = shutil.copytree(runs / "1", pathlib.Path(folder) / "run")
        name = data.draw(st.sampled_from(files_of(run)))
        (run / name).write_bytes(data.draw(replaced(run / name)))
        outcome = ends_well("files of runs", lambda: read_run(run), folder=run)
        if isinstance(outcome, UserError):
            assert name in ("config.json", "split.json", "dataset.json")
        else:
            named = {fault.split(":")[0] for fault in outcome.faults}
            # Counts and scores may contradict each other, whichever of them was damaged.
            splits = ("train", "validation", "test")
            contradictory = {f"per_image_{of}{split}.csv" for of in ("", "instances_") for split in splits}
            others = ("results.json", "config.json", "dataset.json")
            assert named <= {name} or (name in others and named <= contradictory)


# A case takes two seconds: one that fails is told as it was drawn.
@settings(fuzzed(cases=2), phases=[Phase.generate])
@given(data=st.data())
def test_a_run_with_any_damaged_file_is_named_and_the_others_are_reported(runs, data):
    """One file of each run but one, in one report."""
    with tempfile.TemporaryDirectory() as folder:
        root = shutil.copytree(runs, pathlib.Path(folder) / "runs")
        for seed in SEEDS:
            run = root / str(seed)
            file = run / data.draw(st.sampled_from(files_of(run)))
            file.write_bytes(data.draw(replaced(file)))
        outcome = ends_well("run folders", lambda: report(root), folder=root.parent)
        assert not isinstance(outcome, UserError), outcome
        found, document = outcome
        by_name = {run.path.name: run for run in found.runs}
        assert by_name["whole"].faults == ()
        assert by_name["whole"].results is not None
        others = [pathlib.Path(folder).name for folder, _ in found.left_out]
        others += [pathlib.Path(copy.folder).name for copy in found.copies]
        assert sorted([*by_name, *others]) == sorted(path.name for path in root.iterdir())
        told = {block.text for block in document.all() if isinstance(block, Warn)}
        assert {f"{run.path}/{fault}" for run in found.runs for fault in run.faults} <= told


@fuzzed(cases=25)
@given(data=st.data())
def test_no_file_of_a_recorded_run_changes_unnoticed(recorded, data):
    """Not by a bit: a file is as it was written, or named and not used; config and split are compared by value."""
    before = read_run(recorded)
    with tempfile.TemporaryDirectory() as folder:
        run = shutil.copytree(recorded, pathlib.Path(folder) / "run")
        name = data.draw(
            st.sampled_from([*json.loads((run / "record.json").read_text())["files"], *BY_VALUE])
        )
        content = (run / name).read_bytes()
        (run / name).write_bytes(data.draw(replaced(run / name)))
        outcome = ends_well("recorded runs", lambda: read_run(run), folder=run)
        if isinstance(outcome, UserError):
            assert name in (*BY_VALUE, "dataset.json")
            assert name in str(outcome)
        elif (run / name).read_bytes() != content and name not in BY_VALUE:
            assert [fault.split(":")[0] for fault in outcome.faults] == [name]
            assert outcome.results is None or name != "results.json"
        elif name == "record.json" and outcome.faults:
            assert [fault.split(":")[0] for fault in outcome.faults] == [name]
        else:
            assert outcome.faults == ()
            for attribute in (
                "split_digest",
                "data_digest",
                "sizes",
                "results",
                "epochs",
                "environment",
                "weights",
            ):
                assert getattr(outcome, attribute) == getattr(before, attribute)


BY_VALUE = ("config.json", "split.json", "record.json")
