"""Images to tiles, tiles to probabilities, and these to bands of rows."""
