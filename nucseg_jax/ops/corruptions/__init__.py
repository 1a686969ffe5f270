"""Corruptions of images as scanners, laboratories and storage make them, for tests of robustness; see `kinds`."""
