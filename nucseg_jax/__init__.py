"""Cell nuclei segmentation in H&E histology with JAX and Flax."""

__version__ = "0.1.0"
