"""Nuclei for painted tissue: five looks, their outlines, and how much of each dye they add.

Notation: y, x rows and columns in px; rho = distance from the centre over the outline's distance in the same
direction, so 0 is the centre and 1 the outline. Amounts of dye are optical densities of a unit stain vector.
"""

import dataclasses

import numpy as np

from nucseg_jax.data.sources.pannuke.vocabulary import NUCLEUS_CLASSES


@dataclasses.dataclass(frozen=True)
class Look:
    """Ranges in which the nuclei of one class vary; pairs are the ends of a uniform range.

    Attributes:
      radius_px: geometric mean of the half-axes.
      elongation: long half-axis over the short one.
      irregularity: depth of the bumps of the outline, as a share of the radius.
      darkness: haematoxylin of the interior.
      chromatin: contrast of the texture inside, as a share of the darkness.
      grain: 0 = fine texture, 1 = coarse clumps.
      pale: share of nuclei whose interior is as light as cytoplasm and which show by their rim.
      rim: haematoxylin of the nuclear membrane, above the interior.
      nucleolus: share of nuclei with a dark spot or two.
      halo: share of nuclei in a clear or (dead cells) strongly eosinophilic bed.
    """

    radius_px: tuple[float, float]
    elongation: tuple[float, float]
    irregularity: float
    darkness: tuple[float, float]
    chromatin: float
    grain: float
    pale: float
    rim: tuple[float, float]
    nucleolus: float
    halo: float


LOOKS: dict[str, Look] = {
    "Neoplastic": Look((11, 16), (1.0, 1.7), 0.05, (0.42, 0.80), 0.40, 0.8, 0.55, (0.20, 0.45), 0.8, 0.1),
    "Inflammatory": Look((6, 8), (1.0, 1.25), 0.03, (0.80, 1.15), 0.35, 0.6, 0.0, (0.05, 0.2), 0.0, 0.3),
    "Connective": Look((7, 9.5), (2.2, 3.8), 0.04, (0.45, 0.90), 0.20, 0.2, 0.15, (0.25, 0.4), 0.1, 0.1),
    "Dead": Look((5.5, 8), (1.0, 1.4), 0.10, (1.05, 1.40), 0.05, 0.0, 0.0, (0.0, 0.1), 0.0, 0.9),
    "Epithelial": Look((9, 12), (1.05, 1.5), 0.02, (0.38, 0.70), 0.25, 0.3, 0.55, (0.20, 0.40), 0.5, 0.1),
}
DEAD = NUCLEUS_CLASSES.index("Dead")


@dataclasses.dataclass(frozen=True)
class Nucleus:
    """One nucleus, drawn from its class's look.

    Attributes:
      label: channel of the masks, 0..4.
      center: (y, x), px.
      half_axes: (long, short), px.
      angle: of the long axis against the x axis, radians.
      bumps: float [K, 3]; amplitude, waves a turn and phase of the outline's waves.
    """

    label: int
    center: tuple[float, float]
    half_axes: tuple[float, float]
    angle: float
    bumps: np.ndarray

    @property
    def reach_px(self) -> float:
        """A radius that holds the nucleus with its soft edge."""
        return 1.25 * self.half_axes[0] + 5.0

    @property
    def radius_px(self) -> float:
        """Radius of the disc of the same area, about."""
        return float(np.sqrt(self.half_axes[0] * self.half_axes[1]))


def draw_nucleus(
    rng: np.random.Generator, label: int, center: tuple[float, float], grain_angle: float, size: float
) -> Nucleus:
    """Draws size, form and direction; spindle cells lie along `grain_angle` (radians), others anyhow."""
    look = LOOKS[NUCLEUS_CLASSES[label]]
    radius = size * rng.uniform(*look.radius_px)
    stretch = np.sqrt(rng.uniform(*look.elongation))
    aligned = look.elongation[0] > 2.0
    angle = grain_angle + rng.normal(0.0, 0.25) if aligned else rng.uniform(0.0, np.pi)
    waves = np.arange(2, 6)
    amplitude = look.irregularity * rng.normal(0.0, 1.0, waves.size) / np.sqrt(waves - 1)
    bumps = np.stack([amplitude, waves, rng.uniform(0.0, 2 * np.pi, waves.size)], axis=1)
    return Nucleus(label, center, (radius * stretch, radius / stretch), float(angle), bumps)


def window(nucleus: Nucleus, size_px: int) -> tuple[slice, slice]:
    """The rows and columns that the nucleus can touch, cut at the patch's edge."""
    y, x = nucleus.center
    reach = nucleus.reach_px
    rows = slice(max(0, int(y - reach)), min(size_px, int(y + reach) + 1))
    columns = slice(max(0, int(x - reach)), min(size_px, int(x + reach) + 1))
    return rows, columns


def radial(nucleus: Nucleus, place: tuple[slice, slice]) -> np.ndarray:
    """Rho over a window: float32 [h, w], < 1 inside the outline."""
    y = np.arange(place[0].start, place[0].stop, dtype=np.float32)[:, None] - nucleus.center[0]
    x = np.arange(place[1].start, place[1].stop, dtype=np.float32)[None, :] - nucleus.center[1]
    cos, sin = np.cos(nucleus.angle), np.sin(nucleus.angle)
    along = (cos * x + sin * y) / nucleus.half_axes[0]
    across = (cos * y - sin * x) / nucleus.half_axes[1]
    theta = np.arctan2(across, along)
    outline = np.ones_like(theta)
    for amplitude, waves, phase in nucleus.bumps:
        outline += amplitude * np.cos(waves * theta + phase)
    rho: np.ndarray = (np.hypot(along, across) / outline).astype(np.float32)
    return rho


def paint_nucleus(
    rng: np.random.Generator,
    nucleus: Nucleus,
    rho: np.ndarray,
    hematoxylin: np.ndarray,
    eosin: np.ndarray,
    textures: tuple[np.ndarray, np.ndarray],
) -> None:
    """Adds a nucleus to the dyes of its window, in place.

    Args:
      rng: draws darkness, pallor, nucleoli.
      nucleus: what to paint.
      rho: float32 [h, w], see `radial`.
      hematoxylin: float32 [h, w], amounts in the window.
      eosin: float32 [h, w], amounts in the window.
      textures: fine and coarse noise in the window, each float32 [h, w] of unit variance.
    """
    look = LOOKS[NUCLEUS_CLASSES[nucleus.label]]
    short = nucleus.half_axes[1]
    depth_px = (1.0 - rho) * short  # About the distance to the outline; negative outside.
    inside = 1.0 / (1.0 + np.exp(-np.clip(depth_px / 0.45, -30, 30)))
    if rng.random() < look.halo:
        bed = np.exp(-((np.maximum(-depth_px, 0.0) / 3.0) ** 2)) * (1.0 - inside)
        eosin *= 1.0 + bed * (0.8 if nucleus.label == DEAD else -0.75)
        hematoxylin *= 1.0 - 0.6 * bed
    pale = rng.random() < look.pale
    darkness = rng.uniform(0.16, 0.28) if pale else rng.uniform(*look.darkness)
    rim = rng.uniform(*look.rim) + (0.05 if pale else 0.0)
    contrast = look.chromatin * (1.6 if pale else 1.0)
    texture = (1.0 - look.grain) * textures[0] + look.grain * textures[1]
    body = darkness * np.maximum(1.0 + contrast * texture, 0.1)
    membrane = rim * np.exp(-(((depth_px - 0.9) / 1.1) ** 2)) * (1.0 + 0.4 * textures[1])
    # What lies above and below the nucleus in the slice still shows through it, eosin less than before.
    hematoxylin *= 1.0 - 0.7 * inside
    hematoxylin += inside * (body + np.maximum(membrane, 0.0))
    eosin *= 1.0 - (0.55 if pale else 0.45) * inside
    if rng.random() < look.nucleolus:
        _add_nucleoli(rng, nucleus, rho, hematoxylin, eosin)


def _add_nucleoli(
    rng: np.random.Generator, nucleus: Nucleus, rho: np.ndarray, hematoxylin: np.ndarray, eosin: np.ndarray
) -> None:
    """One to three dark purple dots well inside, in place."""
    height, width = rho.shape
    candidates = np.flatnonzero(rho < 0.55)
    if candidates.size == 0:
        return
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    for flat in rng.choice(candidates, size=int(rng.integers(1, 4))):
        size_px = rng.uniform(0.09, 0.17) * nucleus.radius_px
        spot = np.exp(-((y - flat // width) ** 2 + (x - flat % width) ** 2) / (2 * size_px**2))
        hematoxylin += (0.55 * spot).astype(np.float32)
        eosin += (0.25 * spot).astype(np.float32)
