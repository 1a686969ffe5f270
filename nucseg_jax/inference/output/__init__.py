"""The files of images, written band by band."""
