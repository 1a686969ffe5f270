"""Sweeps: rows of labelled differences from one config."""
