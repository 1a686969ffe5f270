import csv
import json

# A container's user: no home, no entry in the password database.
BARE_SURROUNDINGS = """
import os, pwd, runpy, sys

def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")

pwd.getpwuid = unknown
for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
    os.environ.pop(name, None)
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_run_becomes_a_page_with_its_scores_and_its_gaps_whatever_the_surroundings(
    command_line, finished_run, tmp_path
):
    (tmp_path / "bare.py").write_text(BARE_SURROUNDINGS)
    arguments = ("report", f"--runs={finished_run}*", f"--out={tmp_path / 'report'}")
    status, out, err = command_line.run(*arguments, before=(str(tmp_path / "bare.py"),))
    assert status == 0, err
    assert "compiled programs are not kept: HOME is not set" in err
    assert err.count("\n") == 1
    assert "1 run, 1 finished" in out
    results = json.loads((finished_run / "results.json").read_text())
    dice = f"{results['test']['micro']['dice']:.4f}"
    (best,) = (line for line in out.splitlines() if line.startswith("best 1"))
    assert dice in best.split()
    paths = (str(finished_run), str(tmp_path))
    assert all(len(line) <= 80 or any(path in line for path in paths) for line in out.splitlines())
    assert out.splitlines()[-1].split() == ["page", str(tmp_path / "report" / "report.html")]
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert f">{dice}<" in text
    assert "painted patches" in text.lower()
    # What train writes is read: nothing is damaged; no gap is told of what is none of the paper's.
    for words in ("calibration_test.csv in", "examples_test.npz in", "cannot be read", "Missing."):
        assert words not in text
    assert not (tmp_path / "report" / "tables" / "table_1.csv").exists()


def test_the_papers_models_are_counted_and_gaps_are_told_when_asked(command_line, finished_run, tmp_path):
    arguments = (f"--runs={finished_run}*", f"--out={tmp_path / 'report'}", "--paper", "--pictures")
    status, out, err = command_line.run("report", *arguments)
    assert status == 0, err
    assert "missing" in out
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Baselines (Otsu, all foreground) were not scored" in text
    assert "data:image/jpeg" in text
    results = json.loads((finished_run / "results.json").read_text())
    assert f"{results['test']['batch8']['dice']:.4f} ± {results['test']['batch8']['dice_std']:.4f}" in text
    with (tmp_path / "report" / "tables" / "table_1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    papers = [row for row in rows if row["parameters_paper"]]
    assert len(papers) == 4
    assert all(row["parameters_paper"] == row["ours"] for row in papers)
    assert len(rows) == 5


def test_an_unknown_baseline_is_named_and_nothing_is_written(command_line, finished_run, tmp_path):
    arguments = (f"--runs={finished_run}*", f"--out={tmp_path / 'report'}", "--baseline=unknown")
    status, _, err = command_line.run("report", *arguments)
    assert status == 2
    assert "no configuration with a finished run has the label 'unknown'" in err
    assert not (tmp_path / "report").exists()


def test_no_run_is_said_and_nothing_is_written(command_line, tmp_path):
    status, _, err = command_line.run("report", f"--runs={tmp_path}/*", f"--out={tmp_path / 'report'}")
    assert status == 2
    assert "matches no run" in err
    assert not (tmp_path / "report").exists()
    status, _, err = command_line.run("report")
    assert status == 2
    assert "--runs and --out" in err
