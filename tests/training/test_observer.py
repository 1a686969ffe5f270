import json

from nucseg_jax.training.observer import RunObserver, epoch_line
from nucseg_jax.training.run_folder import RunFolder
from nucseg_jax.training.schedule import Schedule


def entry(**losses):
    return {"loss": 0.5, "micro": {"dice": 0.75, "iou": 0.6}, **losses}


def test_a_line_shows_the_loss_over_tiles_with_nuclei_where_it_is_known():
    values = {"train": entry(dice_loss_with_nuclei=0.25), "validation": entry(dice_loss_with_nuclei=None)}
    line = epoch_line(3, 12, values, 1e-3, is_best=False)
    assert line == (
        "epoch  3/12 | train loss 0.5000 (Dice loss 0.2500 with nuclei) Dice 0.7500"
        " | validation loss 0.5000 Dice 0.7500 IoU 0.6000 | learning rate 0.001"
    )


def test_lines_are_of_the_epoch_that_their_step_ends_in(tmp_path):
    folder = RunFolder(tmp_path)
    observer = RunObserver(folder, Schedule(2, 4, 1, 0), done_steps=0, batch_size=2, silent=True)
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
