"""Nuclei that people annotated: readers of label files, and drawing at any scale."""
