import json

import pytest

from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.training.epoch_table import epoch_header, epoch_line
from nucseg_jax.training.observer import RunObserver
from nucseg_jax.training.schedule import Schedule


def entry(**losses):
    return {"loss": 0.5, "micro": {"dice": 0.75, "iou": 0.6}, **losses}


def test_loss_over_tiles_with_nuclei_and_iou_are_in_the_records_alone(tmp_path, capsys):
    values = {"train": entry(dice_loss_with_nuclei=0.25), "validation": entry(dice_loss_with_nuclei=None)}
    folder = RunFolder(tmp_path)
    observer = RunObserver(folder, Schedule(1, 1, 1, 0), done_steps=0, batch_size=2, learning_rate=0.1)
    observer.on_epoch(1, values, learning_rate=0.1, is_best=False)
    observer.close()
    assert capsys.readouterr().out.splitlines()[-1].split()[:5] == [
        "1/1",
        "0.5000",
        "0.7500",
        "0.5000",
        "0.7500",
    ]
    (line,) = map(json.loads, folder.metrics.read_text().splitlines())
    assert {name: line[name] for name in values} == values


def test_the_learning_rate_is_shown_where_it_changes(tmp_path, capsys):
    values = {"train": entry(), "validation": entry()}
    observer = RunObserver(
        RunFolder(tmp_path), Schedule(5, 1, 1, 0), done_steps=0, batch_size=2, learning_rate=0.1
    )
    for epoch, rate in enumerate((0.1, 0.01, 0.01, 0.001, 0.001), 1):
        observer.on_epoch(epoch, values, learning_rate=rate, is_best=epoch == 1)
    observer.close()
    lines = [line for line in capsys.readouterr().out.splitlines() if "/5 " in line]
    assert [line.partition("lr ")[2] for line in lines] == ["", "0.01", "", "0.001", ""]
    assert ["best" in line for line in lines] == [True, False, False, False, False]


@pytest.mark.parametrize("epochs", [1, 1000])
@pytest.mark.parametrize("value", [None, 0.0, 0.5, -12345678.9, 1e30])
@pytest.mark.parametrize("has_batch_statistics", [False, True])
def test_every_line_of_the_table_has_80_columns_whatever_the_values(epochs, value, has_batch_statistics):
    each = {"loss": value, "micro": {"dice": value}}
    validation = {**each, **({"batch_statistics": each} if has_batch_statistics else {})}
    line = epoch_line(
        epochs,
        epochs,
        {"train": each, "validation": validation},
        seconds=359999,
        learning_rate=1.234e-5,
        is_best=True,
    )
    header = epoch_header(epochs, has_batch_statistics=has_batch_statistics)
    assert max(map(len, (line, *header.splitlines()))) <= 80
    # A cell under each heading, and two notes of three words.
    assert len(line.split()) == len(header.splitlines()[1].split()) + 3


def test_lines_are_of_the_epoch_that_their_step_ends_in(tmp_path):
    folder = RunFolder(tmp_path)
    observer = RunObserver(
        folder, Schedule(2, 4, 1, 0), done_steps=0, batch_size=2, learning_rate=0.1, silent=True
    )
    for step in range(1, 9):
        observer.on_logs(step, {"loss": 0.5})
        if step % 4 == 0:
            observer.on_epoch(
                step, {"train": entry(), "validation": entry()}, learning_rate=0.1, is_best=False
            )
    observer.close()
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["kind"] == "train"] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2]
