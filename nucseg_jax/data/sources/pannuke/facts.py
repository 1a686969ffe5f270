"""Published facts of PanNuke: where it lies, what it must hash to, what it holds, and under which licence.

The counts are those of the official three-fold release (arXiv:2003.10778) as public sources state them. Figures
that circulate but belong to the 2019 release (205,343 nuclei) or count a header line (7,904 patches) are not
used.
"""

from collections.abc import Mapping

from nucseg_jax.core.download import RemoteFile
from nucseg_jax.data.sources.pannuke import vocabulary

HOMEPAGE = "https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke"

ARCHIVES = (
    RemoteFile(
        "fold_1.zip",
        f"{HOMEPAGE}/fold_1.zip",
        "sha256",
        "6e19ad380300e8ce9480f9ab6a14cc91fa4b6a511609b40e3d70bdf9c881ed0b",
    ),
    RemoteFile(
        "fold_2.zip",
        f"{HOMEPAGE}/fold_2.zip",
        "sha256",
        "5bc540cc509f64b5f5a274d6e5a245527dbd3e6d3155d43555115c5d54709b07",
    ),
    RemoteFile(
        "fold_3.zip",
        f"{HOMEPAGE}/fold_3.zip",
        "sha256",
        "c14d372981c42f611ebc80afad01702b89cad8c1b3089daa31931cf5a4b1a39d",
    ),
)

PATCHES_BY_FOLD: Mapping[int, int] = {1: 2656, 2: 2523, 3: 2722}
NUCLEI_BY_FOLD: Mapping[int, int] = {1: 63218, 2: 59872, 3: 66654}
EMPTY_PATCHES_BY_FOLD: Mapping[int, int] = {1: 116, 2: 113, 3: 114}
NUCLEI_BY_CLASS: Mapping[str, int] = dict(
    zip(vocabulary.NUCLEUS_CLASSES, (77403, 32276, 50585, 2908, 26572), strict=True)
)
# Found by an audit of the release, not stated by its authors, and the first of them only about: so they are
# shown beside the figures of a data set but a difference is never called one.
VOID_PATCHES = 162
OVERLAP_PATCHES = 575
DISCONNECTED_NUCLEI = 211
LARGEST_ID = 3517

PATCHES_BY_TISSUE: Mapping[str, int] = {
    "Adrenal_gland": 437,
    "Bile-duct": 420,
    "Bladder": 146,
    "Breast": 2351,
    "Cervix": 293,
    "Colon": 1440,
    "Esophagus": 424,
    "HeadNeck": 384,
    "Kidney": 134,
    "Liver": 224,
    "Lung": 184,
    "Ovarian": 146,
    "Pancreatic": 195,
    "Prostate": 182,
    "Skin": 187,
    "Stomach": 146,
    "Testis": 196,
    "Thyroid": 226,
    "Uterus": 186,
}

DESCRIPTION = """\
PanNuke: 7,901 H&E patches of 256x256 px at 40x (0.25 um/px) from 19 tissues, with 189,744 nuclei outlined
and classified semi-automatically as neoplastic, inflammatory, connective, dead or epithelial. Three official
folds are three splits. Each example holds the patch, its class map (0 background, 1..5 the classes in that
order), its instance map relabelled from 1, tissue, fold and the row in the fold."""

LICENSE = """\
Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International (CC BY-NC-SA 4.0)
https://creativecommons.org/licenses/by-nc-sa/4.0/
Not for commercial use; weights trained on the data inherit the licence. Cite both papers."""

CITATION = """\
@inproceedings{gamper2019pannuke,
  title={PanNuke: an open pan-cancer histology dataset for nuclei instance segmentation and classification},
  author={Gamper, Jevgenij and Koohbanani, Navid Alemi and Benet, Ksenija and Khuram, Ali and Rajpoot, Nasir},
  booktitle={European Congress on Digital Pathology},
  pages={11--19},
  year={2019},
  organization={Springer}
}
@article{gamper2020pannuke,
  title={PanNuke Dataset Extension, Insights and Baselines},
  author={Gamper, Jevgenij and Koohbanani, Navid Alemi and Graham, Simon and Jahanifar, Mostafa and
          Khurram, Syed Ali and Azam, Ayesha and Hewitt, Katherine and Rajpoot, Nasir},
  journal={arXiv preprint arXiv:2003.10778},
  year={2020}
}"""
