from nucseg_jax.training.observer import epoch_line


def entry(**losses):
    return {"loss": 0.5, "micro": {"dice": 0.75, "iou": 0.6}, **losses}


def test_a_line_shows_the_loss_over_tiles_with_nuclei_where_it_is_known():
    values = {"train": entry(dice_loss_with_nuclei=0.25), "validation": entry(dice_loss_with_nuclei=None)}
    line = epoch_line(3, 12, values, 1e-3, is_best=False)
    assert line == (
        "epoch  3/12 | train loss 0.5000 (0.2500 with nuclei) Dice 0.7500"
        " | validation loss 0.5000 Dice 0.7500 IoU 0.6000 | learning rate 0.001"
    )
