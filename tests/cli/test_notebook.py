"""The tutorial runs from its first cell to its last."""

import json
import pathlib

import pytest

NOTEBOOK = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "predict.ipynb"


@pytest.mark.long
def test_the_tutorial_runs(finished_run, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("NUCSEG_RUN", str(finished_run))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
    assert json.loads((tmp_path / "nuclei.geojson").read_text())["type"] == "FeatureCollection"
