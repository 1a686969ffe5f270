"""The verb `export`: its flags and its help."""

from typing import Literal

import click

from nucseg_jax.cli.start import comma_list, model_option, model_source, start_jax, verb, workdir_option
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM

# Formats that are files of another program, and the extra that each needs.
PROGRAMS = {"stablehlo": None, "torchscript": "torch", "onnx": "onnx", "bioimageio": "onnx"}
# Flags of one format alone.
_OF_A_FOLDER = ("dtype", "card")


@verb(
    "export --workdir=runs/NAME --format=onnx --out=model.onnx\n"
    "export --workdir=runs/NAME --format=folder --dtype=float16 --out=models/NAME"
)
@workdir_option("The run folder of the model.")
@model_option
@click.option(
    "--format",
    "kind",
    type=click.Choice([*PROGRAMS, "folder"]),
    default="stablehlo",
    show_default=True,
    help="stablehlo: a program that needs only JAX; torchscript, onnx: for libtorch and ONNX Runtime; bioimageio: a"
    " package with both; folder: weights and facts, for --model and `load_run`.",
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
@click.option("--licence", metavar="TEXT", help="Licence of the weights.  [default: that of the data set]")
@click.option("--notes", metavar="TEXT", help="Free text for the model card.")
@click.option("--authors", metavar="NAME[,NAME]", help="bioimageio: who trained the model.")
@click.option("--out", metavar="PATH", type=click.Path(), help="The file or folder to write.")
def command(
    workdir: str | None,
    model: str | None,
    kind: str,
    dtype: Literal["float32", "float16"] | None,
    card: str | None,
    licence: str | None,
    notes: str | None,
    authors: str | None,
    out: str | None,
) -> None:
    """Write the model of a run for another program, or as a model folder.

    Beside a file for another program lie its model card, the names of its channels and its SHA-256; it is run and
    compared with the model before it is left there. A model folder has what `predict --model` needs and nothing else of
    the run.
    """
    source = model_source(workdir, model)
    if not (source and out):
        raise UserError(
            "export needs --workdir and --out",
            advice=f"{PROGRAM} export --workdir=runs/NAME --out=model.stablehlo",
        )
    given = dict(zip(_OF_A_FOLDER, (dtype, card), strict=True))
    superfluous = [f"--{name}" for name, value in given.items() if value is not None]
    if kind != "folder" and superfluous:
        raise UserError(
            f"{superfluous[0]} goes with --format=folder",
            advice=f"add --format=folder, or leave {superfluous[0]} out",
        )
    names = tuple(comma_list(authors))
    if bool(names) != (kind == "bioimageio"):
        raise UserError(
            "--format=bioimageio needs --authors" if not names else "--authors goes with --format=bioimageio",
            expected="the names of those who trained the model, with --format=bioimageio",
        )
    extra = PROGRAMS.get(kind)
    if extra:
        require_extra(extra, f"export --format={kind}")
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

    export(source, user_path(out), kind, licence=licence, notes=notes or "", authors=names)
