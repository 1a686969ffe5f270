"""Bands of probability to nuclei: found, measured, outlined."""
