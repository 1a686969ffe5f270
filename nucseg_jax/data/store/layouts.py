"""The two kinds of prepared data sets."""

from nucseg_jax.data.sources.pannuke.layout import PANNUKE_LAYOUT
from nucseg_jax.data.store.layout import Layout
from nucseg_jax.data.store.nuclei_layout import NUCLEI_LAYOUT

LAYOUTS: tuple[Layout, ...] = (PANNUKE_LAYOUT, NUCLEI_LAYOUT)


def layout_of(name: str) -> Layout:
    """Returns the layout of a data set's folder by the name of its builder."""
    return next(layout for layout in LAYOUTS if layout.name == name)
