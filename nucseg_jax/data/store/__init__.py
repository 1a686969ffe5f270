"""Prepared data sets on disk: records of TensorFlow Datasets, their checksums, and access by row."""
