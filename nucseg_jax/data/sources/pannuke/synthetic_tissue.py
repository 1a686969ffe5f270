"""Painted H&E tissue: what a slide would hold of each dye, seen through a microscope.

A patch is painted in amounts of haematoxylin and eosin and turned into colour once, at the end, by the law of
Beer and Lambert (see `nucseg_jax.ops.stain`). It is meant to be hard in the ways real tissue is: stain that
drifts between patches and across one, debris and mucin as dark as nuclei, nuclei as light as cytoplasm, blur.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from nucseg_jax.data.sources.pannuke import synthetic_nuclei as nuclei
from nucseg_jax.data.sources.pannuke.synthetic_debris import add_debris
from nucseg_jax.data.sources.pannuke.synthetic_fields import fibres, highest, smooth_noise
from nucseg_jax.data.sources.pannuke.vocabulary import NUCLEUS_CLASSES, PATCH_PX
from nucseg_jax.ops.stain import stained, transmitted

# Between the vectors of Ruifrok & Johnston 2001 and those usual in Macenko's normalisation (2009), by eye.
_HEMATOXYLIN = np.array([0.62, 0.70, 0.33], np.float32)
_EOSIN = np.array([0.17, 0.85, 0.50], np.float32)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One kind of tissue.

    Attributes:
      epithelium: share of the area that is cells rather than stroma, 0..1.
      lumen: share of the area that is empty glass (glands, vessels, fat), 0..1.
      in_epithelium: weights of the five nucleus classes among cells.
      in_stroma: weights of the five nucleus classes in stroma.
      crowding: nuclei tried per patch.
      basophilia: haematoxylin of the cytoplasm.
      eosin: eosin of cytoplasm and of stroma.
      size: scale of all nuclei.
    """

    epithelium: float
    lumen: float
    in_epithelium: tuple[float, float, float, float, float]
    in_stroma: tuple[float, float, float, float, float]
    crowding: int
    basophilia: float
    eosin: tuple[float, float]
    size: float = 1.0


# Keys are spelled as the release spells its tissues.
RECIPES: dict[str, Recipe] = {
    "Breast": Recipe(0.45, 0.06, (8, 1, 0, 0.3, 2), (0, 3, 6, 0.2, 0), 130, 0.16, (0.32, 0.45)),
    "Colon": Recipe(0.55, 0.14, (3, 1, 0, 0.3, 7), (0, 6, 3, 0.3, 0), 150, 0.20, (0.34, 0.36)),
    "Kidney": Recipe(0.70, 0.12, (4, 0.5, 0, 0.2, 6), (0, 2, 5, 0.2, 0), 110, 0.10, (0.50, 0.36)),
    "Liver": Recipe(0.85, 0.06, (5, 1, 0, 0.4, 5), (0, 5, 3, 0.2, 0), 90, 0.14, (0.55, 0.40), 1.05),
    "Lung": Recipe(0.50, 0.20, (8, 1, 0, 0.5, 1), (0, 5, 4, 0.4, 0), 130, 0.18, (0.30, 0.34), 1.05),
    "Prostate": Recipe(0.50, 0.10, (5, 0.3, 0, 0.1, 5), (0, 1, 8, 0.1, 0), 130, 0.15, (0.30, 0.48), 0.95),
    "Skin": Recipe(0.40, 0.03, (6, 1, 0, 0.3, 4), (0, 3, 6, 0.2, 0), 110, 0.12, (0.48, 0.56)),
    "Stomach": Recipe(0.50, 0.10, (6, 1, 0, 0.5, 3), (0, 6, 3, 0.4, 0), 140, 0.18, (0.36, 0.38)),
    "Thyroid": Recipe(0.55, 0.16, (4, 0.3, 0, 0.1, 6), (0, 1, 6, 0.1, 0), 120, 0.14, (0.36, 0.40), 0.9),
}


@dataclasses.dataclass(frozen=True)
class Tissue:
    """A painted patch.

    Attributes:
      image: uint8 [256, 256, 3].
      instance: int32 [256, 256]; 0 = no nucleus, else 1 + row in `labels`.
      labels: mask channel of each instance, 0..4.
    """

    image: np.ndarray
    instance: np.ndarray
    labels: tuple[int, ...]


def _place_nuclei(
    rng: np.random.Generator, recipe: Recipe, cells: np.ndarray, glass: np.ndarray, angle: float
) -> list[nuclei.Nucleus]:
    """Draws nuclei one after another and keeps those that crowd no earlier one."""
    placed: list[nuclei.Nucleus] = []
    centers = np.zeros((recipe.crowding, 2))
    radii = np.zeros(recipe.crowding)
    mixtures = [np.array(w) / sum(w) for w in (recipe.in_stroma, recipe.in_epithelium)]
    # Inflammatory cells come in crowds: where this is high, stroma holds many more of them.
    crowd = smooth_noise(rng, 50.0)
    for _ in range(recipe.crowding):
        y, x = rng.uniform(-4.0, PATCH_PX + 4.0, 2)
        at = (int(np.clip(y, 0, PATCH_PX - 1)), int(np.clip(x, 0, PATCH_PX - 1)))
        among_cells = bool(cells[at] > 0.5)
        label = int(rng.choice(len(NUCLEUS_CLASSES), p=mixtures[among_cells]))
        keep = among_cells or rng.random() < 0.25 + 0.35 * (crowd[at] > 0.5)
        one = nuclei.draw_nucleus(rng, label, (float(y), float(x)), angle, recipe.size)
        n = len(placed)
        apart = np.hypot(*(centers[:n] - (y, x)).T) > 0.93 * (radii[:n] + one.radius_px)
        if keep and glass[at] < 0.3 and apart.all():
            centers[n], radii[n] = (y, x), one.radius_px
            placed.append(one)
    return placed


def paint_tissue(rng: np.random.Generator, recipe: Recipe, *, with_nuclei: bool = True) -> Tissue:
    """Paints one patch of tissue; a pure function of the generator's state and the recipe."""
    angle = rng.uniform(0.0, np.pi)
    granular, fine, coarse = smooth_noise(rng, 1.8), smooth_noise(rng, 2.0), smooth_noise(rng, 4.0)
    medium = smooth_noise(rng, 9.0)
    cells = highest(smooth_noise(rng, 55.0) + 0.25 * medium, recipe.epithelium, 0.10)
    gaps = smooth_noise(rng, 30.0) + 0.22 * medium + 0.10 * coarse
    glass = highest(gaps, recipe.lumen * rng.uniform(0.2, 1.8), 0.06)
    mucin = highest(smooth_noise(rng, 32.0) + 0.2 * coarse, rng.uniform(0.02, 0.30), 0.25)
    strands = fibres(rng, angle)
    clefts = highest(strands + 0.5 * smooth_noise(rng, 20.0), 0.05, 0.30) * (1.0 - cells)
    # Where a field of bumps crosses zero there run closed lines: the borders between cells.
    borders = np.exp(-((smooth_noise(rng, 15.0) / 0.10) ** 2)) * cells

    cytoplasm = recipe.eosin[0] * (1.0 + 0.09 * granular + 0.10 * coarse + 0.10 * medium - 0.45 * borders)
    stroma = recipe.eosin[1] * (1.0 + 0.22 * strands + 0.05 * granular)
    eosin = cells * cytoplasm + (1.0 - cells) * stroma
    basophilia = recipe.basophilia * np.exp(0.45 * smooth_noise(rng, 40.0))
    hematoxylin = cells * basophilia * (1.0 + 0.15 * granular + 0.18 * coarse - 0.3 * borders)
    hematoxylin += (1.0 - cells) * (0.07 + 0.02 * strands)
    eosin *= 1.0 - 0.5 * mucin
    hematoxylin += mucin * (0.32 + 0.07 * strands + 0.06 * coarse)
    void = np.maximum(glass, 0.75 * clefts)
    eosin = np.maximum(eosin, 0.0) * (1.0 - 0.95 * void)
    hematoxylin = np.maximum(hematoxylin, 0.0) * (1.0 - 0.95 * void)
    add_debris(rng, hematoxylin, eosin)

    instance: np.ndarray = np.zeros((PATCH_PX, PATCH_PX), np.int32)
    labels: list[int] = []
    for one in _place_nuclei(rng, recipe, cells, glass, angle) if with_nuclei else ():
        place = nuclei.window(one, PATCH_PX)
        rho = nuclei.radial(one, place)
        own = (rho < 1.0) & (instance[place] == 0)
        # What shows of it must be most of it: a sliver of a nucleus has no look.
        if own.sum() < max(20, 0.8 * (rho < 1.0).sum()):
            continue
        labels.append(one.label)
        instance[place][own] = len(labels)
        nuclei.paint_nucleus(rng, one, rho, hematoxylin[place], eosin[place], (fine[place], coarse[place]))
    return Tissue(_develop(rng, hematoxylin, eosin), instance, tuple(labels))


def _develop(rng: np.random.Generator, hematoxylin: np.ndarray, eosin: np.ndarray) -> np.ndarray:
    """Uneven stain, colour, focus, sensor: amounts of two dyes to uint8 [256, 256, 3]."""
    thickness = np.exp(0.16 * smooth_noise(rng, 110.0))
    drift = np.exp(rng.normal(0.0, 0.16, 2)).astype(np.float32)
    uneven = np.exp(0.20 * smooth_noise(rng, 90.0))
    amounts = np.stack([hematoxylin * drift[0] * uneven, eosin * drift[1]], axis=-1)
    vectors = np.stack([_HEMATOXYLIN, _EOSIN]) + rng.normal(0.0, 0.035, (2, 3)).astype(np.float32)
    density = stained(amounts * thickness[..., None], vectors.astype(np.float32))
    white = np.float32(rng.uniform(232.0, 250.0)) + rng.uniform(-4.0, 4.0, 3).astype(np.float32)
    light = transmitted(density, white=white)
    focus_px = rng.uniform(0.5, 1.1) + (rng.random() < 0.15) * rng.uniform(0.3, 0.7)
    light = ndimage.gaussian_filter(light, (focus_px, focus_px, 0.0), truncate=3.0)
    light += rng.uniform(1.0, 2.5) * rng.standard_normal(light.shape, np.float32)
    image: np.ndarray = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return image
