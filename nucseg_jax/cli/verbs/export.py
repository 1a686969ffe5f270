"""The verb `export`: its flags and its help."""

from typing import Literal

import click

from nucseg_jax.cli.start import model_option, model_source, start_jax, verb, workdir_option
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM

# Flags of one format alone.
_OF_A_FOLDER = ("dtype", "card", "licence", "notes")


@verb(
    "export --workdir=runs/NAME --out=model.stablehlo\n"
    "export --workdir=runs/NAME --format=folder --dtype=float16 --out=models/NAME"
)
@workdir_option("The run folder of the model.")
@model_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["stablehlo", "folder"]),
    default="stablehlo",
    show_default=True,
    help="stablehlo: a program that needs only JAX; folder: weights and facts, for --model and `load_run`.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    help="folder: of the stored weights; all is computed as before.  [default: float32]",
)
@click.option(
    "--card",
    metavar="FILE",
    type=click.Path(),
    help="folder: the model card, Markdown.  [default: a table of its facts]",
)
@click.option(
    "--licence", metavar="TEXT", help="folder: licence of the weights.  [default: that of the data set]"
)
@click.option("--notes", metavar="TEXT", help="folder: free text.")
@click.option("--out", metavar="PATH", type=click.Path(), help="The file or folder to write.")
def command(
    workdir: str | None,
    model: str | None,
    kind: str,
    dtype: Literal["float32", "float16"] | None,
    card: str | None,
    licence: str | None,
    notes: str | None,
    out: str | None,
) -> None:
    """Write the model of a run: as a StableHLO program that needs only JAX, or as a model folder.

    The program is for CPU, CUDA and TPU. A model folder has what `predict --model` needs and nothing else of the run.
    """
    source = model_source(workdir, model)
    if not (source and out):
        raise UserError(
            "export needs --workdir and --out",
            advice=f"{PROGRAM} export --workdir=runs/NAME --out=model.stablehlo",
        )
    given = dict(zip(_OF_A_FOLDER, (dtype, card, licence, notes), strict=True))
    superfluous = [f"--{name}" for name, value in given.items() if value is not None]
    if kind == "stablehlo" and superfluous:
        raise UserError(
            f"{superfluous[0]} goes with --format=folder",
            advice=f"add --format=folder, or leave {superfluous[0]} out",
        )
    if kind == "folder" and not workdir:
        raise UserError(
            "--format=folder needs --workdir", expected="the run to export: a model folder is one already"
        )
    start_jax()

    if kind == "folder" and workdir:
        from nucseg_jax.cli.export_folder import export_folder

        export_folder(
            user_path(workdir),
            user_path(out),
            dtype=dtype or "float32",
            card=user_path(card) if card else None,
            licence=licence,
            notes=notes or "",
        )
        return

    from nucseg_jax.cli.export import export

    export(source, user_path(out))
