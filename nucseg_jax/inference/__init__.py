"""From a trained model to nuclei in images of any size.

Two grids of pixels: the source's own (full resolution, what every output is in), and the model's, at the microns per
pixel of the patches that it was trained on. Axes: [H, W] rows from the top, columns from the left; y down.

    images           Source, uint8 RGB by region, and ModelView: the same regions on the model's grid
      | tiling/      job and tiles: which tile begins where; tissue: which tiles a slide needs
      |              stream: source -> events, in order: begin, tile, row, end, failed
      |              predictor: tiles -> probabilities, in full batches over all devices
      |              blending, bands: tiles -> bands of rows on the source's grid, weights that sum to one
      | nuclei/      bands -> nuclei, each whole in one piece, measured, outlined
    output/          files: probability, nuclei, mask, overlay, tables; a journal tells where to resume

Memory is bounded by a strip: a row of tiles over the whole width, and the rows of nuclei that are not finished.
`tiling.stream.ahead` runs reading and inference each in a thread of its own, with bounded queues; the writer is whoever
iterates. No number depends on threads, batches or devices but for the rounding of the compiled program.
"""
