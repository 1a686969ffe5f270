"""Name and colour of nuclei of a model that knows no classes."""

ANY_CLASS = "Nucleus"
ANY_COLOR = (255, 225, 0)
