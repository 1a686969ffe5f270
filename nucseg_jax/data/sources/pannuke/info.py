"""PanNuke's description, which also stands for every run folder without a description."""

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.sources.pannuke import facts, vocabulary

# QuPath's own colours for tumour, immune cells, stroma and necrosis; the last can be told apart from them.
_COLORS = ((200, 0, 0), (160, 90, 160), (150, 200, 150), (50, 50, 50), (30, 160, 230))

PANNUKE = DatasetInfo(
    name="PanNuke",
    classes=tuple(map(NucleusClass, vocabulary.NUCLEUS_CLASSES, _COLORS)),
    groups=vocabulary.TISSUES,
    group_noun="tissue",
    divisions=tuple(f"fold{fold}" for fold in vocabulary.FOLDS),
    patch_px=vocabulary.PATCH_PX,
    microns_per_px=0.25,
    licence=facts.LICENSE,
    citation=facts.CITATION,
)
