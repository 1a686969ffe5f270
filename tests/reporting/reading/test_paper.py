"""The paper's numbers, typed a second time from its tables and its text."""

from nucseg_jax.reporting.reading.paper import PAPER_MODELS

# Table 1: parameters, MB, dropout, L2. Table 4: Dice, IoU, sensitivity, accuracy, loss. Text: minutes, seconds.
TABLES = """
unet resnet50                 15676865  59.80 .7  .01  .8286 .7121 .8116 .9474 .3272  37.42 .93
unet efficientnet_b4          14932072  56.96 .5  .01  .8138 .7111 .7911 .9458 .2827  43.65 .88
deeplabv3plus resnet50        30462849 116.21 .7  .02  .8356 .7280 .8570 .9455 .3212  23.37 .50
deeplabv3plus efficientnet_b4 14306600  54.58 .25 .01  .6419 .4893 .5212 .9166 .3543  34.41 .64
"""


def test_every_number_is_the_papers():
    for model, line in zip(PAPER_MODELS, TABLES.strip().splitlines(), strict=True):
        decoder, encoder, *numbers = line.split()
        assert (model.decoder, model.encoder) == (decoder, encoder)
        metrics = ("dice", "iou", "sensitivity", "accuracy", "loss")
        found = [model.parameters, model.size_mb, model.dropout, model.l2, *map(model.test.get, metrics)]
        assert [*found, model.training_min, model.inference_s] == [float(number) for number in numbers]
        assert model.test.keys() == set(metrics)
