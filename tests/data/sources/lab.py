"""Draws a lab's folder: images whose nuclei are known, and their labels in every form."""

import json
import pathlib
from typing import Any

import numpy as np
import shapely
from PIL import Image

from nucseg_jax.config.data import DataConfig
from nucseg_jax.inference.nuclei.outlines import outlines


def folder_config(release_dir: pathlib.Path, *, patch_px: int = 64, **more: Any) -> DataConfig:
    """Returns section `data` of a config with these images."""
    return DataConfig("folder", str(release_dir), patch_px=patch_px, **more)


def nuclei(height: int, width: int, *, seed: int = 0, axes: tuple[float, float] = (5, 9)) -> np.ndarray:
    """uint16 [height, width]: ellipses that do not touch, numbered 1..K with gaps of one."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((height, width), np.uint16)
    pitch = round(2 * axes[1] + 3)
    y, x = np.mgrid[:pitch, :pitch]
    number = 1
    for top in range(0, height - pitch + 1, pitch):
        for left in range(0, width - pitch + 1, pitch):
            a, b = rng.uniform(*axes, 2)
            angle = rng.uniform(0, np.pi)
            dy, dx = y - pitch / 2 + 0.3, x - pitch / 2 - 0.2
            u, v = dy * np.cos(angle) + dx * np.sin(angle), dx * np.cos(angle) - dy * np.sin(angle)
            ids[top : top + pitch, left : left + pitch][(u / a) ** 2 + (v / b) ** 2 < 1] = number
            number += 2
    return ids


def picture(ids: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: dark nuclei on pink noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-12, 13, (*ids.shape, 3))
    return np.clip(np.where(ids[..., None] > 0, (90, 60, 130), (225, 170, 200)) + noise, 0, 255).astype(
        np.uint8
    )


def save_picture(path: pathlib.Path, values: np.ndarray) -> None:
    """PNG, or what else the ending of the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_geojson(path: pathlib.Path, ids: np.ndarray, names: dict[int, str] | None = None) -> None:
    """Outlines of 4-connected nuclei, as `predict` writes them.

    Args:
      names: class of nuclei by id; the others have none.
    """
    values = np.unique(ids)[1:]
    numbered = np.searchsorted(values, ids).astype(np.uint32) + (ids > 0)
    polygons = outlines(numbered, first=1, count=len(values), top=0)
    features = [
        feature(polygon, None if names is None else names.get(int(value)))
        for polygon, value in zip(polygons, values, strict=True)
    ]
    write_features(path, features)


def feature(polygon: shapely.Polygon, name: str | None = None) -> dict:
    properties: dict = {"objectType": "detection"}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    return {"type": "Feature", "geometry": json.loads(shapely.to_geojson(polygon)), "properties": properties}


def write_features(path: pathlib.Path, features: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_xml(path: pathlib.Path, ids: np.ndarray, *, microns_per_px: float) -> None:
    """Outlines of nuclei without holes as ImageScope's regions."""
    values = np.unique(ids)[1:]
    numbered = np.searchsorted(values, ids).astype(np.uint32) + (ids > 0)
    regions = []
    for polygon in outlines(numbered, first=1, count=len(values), top=0):
        vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in polygon.exterior.coords[:-1])
        regions.append(f'<Region Type="0" NegativeROA="0"><Vertices>{vertices}</Vertices></Region>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<Annotations MicronsPerPixel="{microns_per_px}"><Annotation><Regions>{"".join(regions)}</Regions>'
        "</Annotation></Annotations>"
    )
