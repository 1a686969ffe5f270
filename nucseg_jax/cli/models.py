"""`models`: the trained models of this installation."""

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.model_folder.card import score_rows
from nucseg_jax.model_folder.facts import first_line
from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.model_folder.named import model_names, models_folder


def models_text() -> str:
    """Describes each model of this installation; a damaged one by what is wrong with it."""
    names = model_names()
    if not names:
        return f"this installation has no models; {PROGRAM} export --format=folder makes one of a run"
    return "\n\n".join(map(_described, names))


def _described(name: str) -> str:
    try:
        folder = read_model_folder(models_folder() / name)
    except UserError as error:
        return f"{name}: {error}"
    facts, info = folder.facts, folder.facts.info
    classes = f"classes {', '.join(info.class_names)}" if facts.model["num_classes"] != 1 else "no classes"
    rows = {
        "data": f"{info.name}, {info.microns_per_px:g} microns per pixel, {classes}",
        "network": f"{facts.model['decoder']} on {facts.model['encoder']}, instance head {facts.model['head']}",
        "scores": ", ".join(f"{title} {value}" for title, value in score_rows(facts.scores).items())
        or "none",
        "licence": first_line(facts.licence),
        "card": str(folder.card),
    }
    return "\n".join([name, *(f"  {title:8} {value}" for title, value in rows.items())])
