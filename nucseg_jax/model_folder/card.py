"""The model card of a model for which no other was given: its facts as Markdown, to be completed by its author."""

from collections.abc import Mapping
from typing import Any

from nucseg_jax.model_folder.facts import ModelFacts, first_line

SCORE_DIGITS = 4
LIMITS = (
    "Not a medical device. Other stains, scanners, organs and scales than those of the training images need a test of"
    " their own."
)


def card_text(facts: ModelFacts, name: str) -> str:
    """Returns the card.

    Args:
      facts: about the model.
      name: of its folder.
    """
    parts = [
        f"# {name}",
        f"A nucleus segmentation model for H&E images, read by `nucseg predict --model={name} --inputs=IMAGES"
        f' --out=DIR` and `nucseg_jax.load_run("{name}")` where it is installed, else by its path.',
        facts_table({**fact_rows(facts), **score_rows(facts.scores)}),
    ]
    if facts.scores:
        parts.append("Scores are of the run on its own test split, before any rounding of the weights.")
    if facts.notes:
        parts.append(facts.notes)
    parts.append(LIMITS)
    if facts.info.citation:
        parts.append(f"Data:\n\n```\n{facts.info.citation}\n```")
    return "\n\n".join(parts) + "\n"


def fact_rows(facts: ModelFacts) -> dict[str, str]:
    """Returns what a model is, and of what it was made, by title."""
    info, model = facts.info, facts.model
    classes = ", ".join(info.class_names) if model["num_classes"] != 1 else "none: nucleus or background"
    return {
        "network": f"{model['decoder']} on {model['encoder']}, width {model['width']:g}",
        "instance head": str(model["head"]),
        "trained on": info.name,
        "images": f"H&E, RGB, {info.microns_per_px:g} microns per pixel, patches of {info.patch_px} px",
        "classes": classes,
        "weights": f"{facts.stored_dtype}, step {facts.checkpoint_step:,}",
        "written by": f"nucseg_jax {facts.package_version}",
        "licence of the weights": first_line(facts.licence),
    }


def facts_table(rows: Mapping[str, str]) -> str:
    """Returns a table of two columns without headers."""
    table = "\n".join(f"| {title} | {cell(value)} |" for title, value in rows.items())
    return f"| | |\n|---|---|\n{table}"


def score_rows(scores: Mapping[str, Any]) -> dict[str, str]:
    """Returns the main scores of `ModelFacts.scores` by title; empty where there are none."""
    rows = {
        f"test {title}": f"{scores[place][key]:.{SCORE_DIGITS}f}"
        for title, place, key in (("Dice (micro)", "micro", "dice"), ("IoU (micro)", "micro", "iou"))
        if isinstance(scores.get(place, {}).get(key), float)
    }
    pooled = scores.get("instances", {}).get("pooled", {})
    rows |= {
        f"test {title} (nuclei, pooled)": f"{pooled[key]:.{SCORE_DIGITS}f}"
        for title, key in (("bPQ", "bpq"), ("AJI", "aji"), ("detection F1", "detection_f1"))
        if isinstance(pooled.get(key), float)
    }
    return rows


def cell(text: str) -> str:
    """Returns a text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")
