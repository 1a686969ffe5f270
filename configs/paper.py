"""The paper's four models, in the order of its Table 1: the names of their configs, which lie beside this file."""

NAMES = ("unet_resnet50", "unet_efficientnet_b4", "deeplabv3plus_resnet50", "deeplabv3plus_efficientnet_b4")
