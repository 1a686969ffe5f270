"""Nuclei in the formats of other tools, made from the files that `predict` wrote; no model and no JAX are needed.

`table.FORMATS` names the formats, and a file here writes each: from a `FinishedImage`, atomically, with the memory of a
band of rows or of a batch of nuclei. Outlines come from the GeoJSON, measures unrounded from the Parquet file, numbers
and probabilities of pixels from the Zarr group.
"""
