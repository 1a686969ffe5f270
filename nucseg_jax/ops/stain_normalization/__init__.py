"""Stain normalisation: images brought to the colours of others by statistics of both; see `target`."""
