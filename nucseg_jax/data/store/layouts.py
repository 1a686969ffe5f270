"""The two kinds of prepared data sets."""

from nucseg_jax.data.sources.pannuke.layout import PANNUKE_LAYOUT
from nucseg_jax.data.store.layout import Layout
from nucseg_jax.data.store.nuclei_layout import NUCLEI

LAYOUTS: tuple[Layout, ...] = (PANNUKE_LAYOUT, NUCLEI)


def layout_of(name: str) -> Layout:
    """The layout of a data set's folder by the name of its builder."""
    return next(layout for layout in LAYOUTS if layout.name == name)
