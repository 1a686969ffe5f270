"""From a trained model to nuclei in images of any size.

Two grids of pixels: the source's own (full resolution, what every output is in), and the model's, at the microns per
pixel of the patches that it was trained on. Axes: [H, W] rows from the top, columns from the left; y down.

    images           Source, uint8 RGB by region, and ModelView: the same regions on the model's grid
      | tiles        TilePlan: which tile begins where; tissue: which tiles a slide needs
      | stream       source -> events, in order: begin, tile, row, end, failed
      | predictor    tiles -> probabilities, in full batches over all devices
      | blending     tiles -> bands of rows, weights that sum to one
      | resample     bands on the model's grid -> bands on the source's
      | nuclei       bands -> nuclei, each whole in one piece             (nucleus_stream, measure, outlines, geojson)
    write_images     files: probability, nuclei, mask, overlay, tables    (a journal says where to go on)

Memory is bounded by a strip: a row of tiles over the whole width, and the rows of nuclei that are not finished.
`stream.ahead` runs reading and inference each in a thread of its own, with bounded queues; the writer is whoever
iterates. No number depends on threads, batches or devices but for the rounding of the compiled program.
"""
