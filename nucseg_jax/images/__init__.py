"""Image files as RGB pixels: what the header states the samples mean, read by region at full resolution or at a scale.

open_source     path -> Source, uint8 RGB by region       (picture_, tiff_, zarr_, slide_source)
main_picture    which picture of a file is the image, which are copies   (tiff_pictures, ngff)
meaning         header -> Meaning of the samples, or refused             (tiff_header, ome_xml, channels, codestream)
pixels          samples and their Meaning -> uint8 RGB
resolution      microns per pixel that a file states, if plausible
resample        Source -> the same regions on another grid
"""
