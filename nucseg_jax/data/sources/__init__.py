"""Sources of patches: PanNuke, synthetic, own folders, CoNSeP, MoNuSeg."""
