"""Counts as people read them."""

_IRREGULAR = {"nucleus": "nuclei", "class": "classes", "process": "processes"}


def counted(count: int, noun: str) -> str:
    """Returns a count and its noun, in the singular for one alone.

    Args:
      count: number of things.
      noun: one of them; words may precede it.

    >>> counted(1, "image"), counted(0, "training patch"), counted(3, "epoch"), counted(1234, "nucleus")
    ('1 image', '0 training patches', '3 epochs', '1,234 nuclei')
    """
    if count == 1:
        return f"{count:,} {noun}"
    before, _, last = noun.rpartition(" ")
    plural = _IRREGULAR.get(last) or last + ("es" if last.endswith(("tch", "x")) else "s")
    return f"{count:,} {before} {plural}" if before else f"{count:,} {plural}"
