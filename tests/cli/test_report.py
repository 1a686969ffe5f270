import csv
import json

# A container's user: no home, no entry in the password database; and a notebook's shell whose backend is not installed.
BARE_SURROUNDINGS = """
import os, pwd, runpy, sys

def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")

pwd.getpwuid = unknown
for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
    os.environ.pop(name, None)
os.environ["MPLBACKEND"] = "module://ipympl.backend_nbagg"
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
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert f"{results['test']['batch8']['dice']:.4f} ± {results['test']['batch8']['dice_std']:.4f}" in text
    assert "painted patches" in text.lower()
    # What train writes is read: nothing is damaged, and only what this run was not asked for is missing.
    for words in ("calibration_test.csv in", "examples_test.npz in", "cannot be read"):
        assert words not in text
    assert "Baselines (Otsu, all foreground) were not scored" in text
    with (tmp_path / "report" / "tables" / "table_1.csv").open(encoding="utf-8") as file:
        rows = {
            (row["model"], row["by"]): row["value"]
            for row in csv.DictReader(file)
            if row["field"] == "parameters_total"
        }
    papers = [model for model, by in rows if by == "paper"]
    assert len(papers) == 4
    assert all(rows[model, "describe"] == rows[model, "paper"] for model in papers)
    assert len(rows) == 9


def test_no_run_is_said_and_nothing_is_written(command_line, tmp_path):
    status, _, err = command_line.run("report", f"--runs={tmp_path}/*", f"--out={tmp_path / 'report'}")
    assert status == 2
    assert "matches no run" in err
    assert not (tmp_path / "report").exists()
    status, _, err = command_line.run("report")
    assert status == 2
    assert "--runs and --out" in err
