"""A lab's own folder of images and labels, cut into patches; `consep` and `monuseg` are opened by the same steps.

layout        folder -> image, label, class map and region files that belong together
description   dataset.yaml -> Description
groups_table  groups.csv -> group and division of each image
scale         stated resolutions of an image -> the one that holds, or refused
class_names   classes that labels carry and that are declared -> classes of the data set
image_labels  label, class map and regions of an image -> instance and label of any window
grid          size of an image -> places of its patches
cut           image and labels -> patches
described     what was understood -> sentences for a person
opening       all of these -> OpenedSource
source        `open_folder`
"""
