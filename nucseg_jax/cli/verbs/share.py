"""The verb `share`: its flags and its help."""

from typing import Literal

import click

from nucseg_jax.cli.start import model_option, model_source, start_jax, verb, workdir_option
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM

# Flags that go with a run: a model folder has its own.
_OF_A_RUN = ("dtype", "card", "licence", "notes")


@verb(
    "share --workdir=runs/NAME --out=NAME.zip\n"
    "share --workdir=runs/NAME --dtype=float16 --card=card.md --out=NAME.zip\n"
    "share --model=models/NAME --out=NAME.zip"
)
@workdir_option("The run folder of the model.")
@model_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    help="Of the stored weights; all is computed as before.  [default: float32]",
)
@click.option(
    "--card",
    metavar="FILE",
    type=click.Path(),
    help="The model card, Markdown.  [default: a table of its facts]",
)
@click.option("--licence", metavar="TEXT", help="Licence of the weights.  [default: that of the data set]")
@click.option("--notes", metavar="TEXT", help="Free text.")
@click.option("--out", metavar="FILE", type=click.Path(), help="The file to write, such as NAME.zip.")
def command(
    workdir: str | None,
    model: str | None,
    dtype: Literal["float32", "float16"] | None,
    card: str | None,
    licence: str | None,
    notes: str | None,
    out: str | None,
) -> None:
    """Pack the model of a run into one file, which predict, evaluate, export and load_run open anywhere.

    Weights of the best checkpoint without the optimizer, config, scores, split, model card and versions; each checked
    by its SHA-256 when the file is opened. --model packs a model folder as it is. Nothing is uploaded.
    """
    source = model_source(workdir, model)
    if not (source and out):
        raise UserError(
            "share needs --workdir or --model, and --out",
            advice=f"{PROGRAM} share --workdir=runs/NAME --out=NAME.zip",
        )
    given = dict(zip(_OF_A_RUN, (dtype, card, licence, notes), strict=True))
    superfluous = [f"--{name}" for name, value in given.items() if value is not None]
    if model and superfluous:
        raise UserError(
            f"{superfluous[0]} goes with --workdir: a model folder has its own",
            advice=f"leave {superfluous[0]} out",
        )
    start_jax()

    from nucseg_jax.cli.share import share_model, share_run

    if model:
        share_model(source, user_path(out))
        return
    share_run(
        user_path(source),
        user_path(out),
        dtype=dtype or "float32",
        card=user_path(card) if card else None,
        licence=licence,
        notes=notes or "",
    )
