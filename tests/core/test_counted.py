import pytest

from nucseg_jax.core.counted import counted

PLURALS = {
    "array": "arrays", "attempt": "attempts", "byte": "bytes", "channel": "channels", "commit": "commits",
    "configuration": "configurations", "core": "cores", "device": "devices", "epoch": "epochs", "figure": "figures",
    "gap": "gaps", "image": "images", "nucleus": "nuclei", "patch": "patches", "process": "processes", "row": "rows",
    "run": "runs", "sample": "samples", "step": "steps", "tile": "tiles", "tissue": "tissues", "value": "values",
    "class": "classes", "batch": "batches", "box": "boxes",
}  # fmt: skip


@pytest.mark.parametrize(("noun", "plural"), PLURALS.items())
def test_counts_agree_with_their_nouns(noun, plural):
    assert [counted(count, noun) for count in (0, 1, 2000)] == [f"0 {plural}", f"1 {noun}", f"2,000 {plural}"]
    assert counted(3, f"other {noun}") == f"3 other {plural}"
