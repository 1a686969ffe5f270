"""The words of the data set: nucleus classes and tissues, in PanNuke's order and spelling (arXiv:2003.10778)."""

PATCH_PX = 256

# Channel order of the release's masks; the class map stores channel + 1 and keeps 0 for background.
NUCLEUS_CLASSES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")

TISSUES = (
    "Adrenal_gland",
    "Bile-duct",
    "Bladder",
    "Breast",
    "Cervix",
    "Colon",
    "Esophagus",
    "HeadNeck",
    "Kidney",
    "Liver",
    "Lung",
    "Ovarian",
    "Pancreatic",
    "Prostate",
    "Skin",
    "Stomach",
    "Testis",
    "Thyroid",
    "Uterus",
)

FOLDS = (1, 2, 3)
