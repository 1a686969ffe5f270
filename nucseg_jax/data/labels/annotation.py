"""From a label file to its nuclei, by the ending of its name."""

import pathlib
from collections.abc import Callable
from typing import Literal

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.geojson import read_geojson
from nucseg_jax.data.labels.imagescope import read_imagescope
from nucseg_jax.data.labels.mat import read_mat
from nucseg_jax.data.labels.npy import read_npy
from nucseg_jax.data.labels.nuclei import Annotation, Drawn
from nucseg_jax.data.labels.png import read_png
from nucseg_jax.data.labels.raster_meaning import LabelKind, raster_annotation
from nucseg_jax.data.labels.tiff import read_tiff
from nucseg_jax.images.open_source import refused

__all__ = ["LABEL_ENDINGS", "Annotation", "Drawn", "LabelKind", "read_annotation"]
