"""Counts as people read them."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Returns a count and its noun, the noun in the singular for one alone.

    Args:
      count: number of things.
      noun: singular.
      plural: where it is not the singular and an s.

    >>> counted(1, "image"), counted(0, "image"), counted(1234, "nucleus", "nuclei")
    ('1 image', '0 images', '1,234 nuclei')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
