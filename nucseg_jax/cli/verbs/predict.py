"""The verb `predict`: its flags and its help."""

import sys

import click

from nucseg_jax.cli.start import model_option, model_source, start_jax, verb, workdir_option
from nucseg_jax.cli.verbs.formats import chosen_formats, formats_options
from nucseg_jax.cli.views import views_option
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM


@verb(
    "predict --model=small --inputs=a.png --out=nuclei\n"
    "predict --workdir=runs/NAME --inputs='images/*.png' --out=nuclei\n"
    "predict --workdir=runs/NAME --inputs=slides --mpp=0.25 --out=nuclei"
)
@workdir_option("The run folder of the model.")
@model_option
@click.option(
    "--inputs",
    metavar="PATH,...",
    multiple=True,
    help="Images, folders or patterns, such as 'slides/*.svs'; several with commas, or by several flags.",
)
@click.option("--out", metavar="DIR", type=click.Path(), help="The folder to write.")
@click.option("--mpp", type=float, help="Microns per pixel of all images.  [default: as each file states]")
@click.option(
    "--mpp_from_objective",
    is_flag=True,
    help="Where a file states no microns per pixel: 10 / the power of the objective (20x = 0.5).",
)
@click.option(
    "--tile_px",
    type=int,
    help="Side of the tiles, in pixels at the model's scale.  [default: the patches' of the run]",
)
@click.option(
    "--overlap_px",
    type=int,
    help="Overlap between adjacent tiles, in pixels.  [default: 64, or half a tile where that is less]",
)
@click.option(
    "--threshold",
    type=float,
    help="A pixel is nucleus where its probability is above.  [default: the run's own, .5 unless it was tuned]",
)
@views_option
@click.option(
    "--adapt",
    is_flag=True,
    help="For images of another stain or scanner than the model's: batch norm's statistics are first estimated on these"
    " images, all together, without labels. What is predicted in one then depends on the others.",
)
@click.option(
    "--batch_size", type=int, default=8, show_default=True, help="Tiles in a batch; no result depends on it."
)
@formats_options
def command(
    workdir: str | None,
    model: str | None,
    inputs: tuple[str, ...],
    out: str | None,
    mpp: float | None,
    mpp_from_objective: bool,
    tile_px: int | None,
    overlap_px: int | None,
    threshold: float | None,
    views: int,
    adapt: bool,
    batch_size: int,
    names: str | None,
    simplify_px: float,
) -> None:
    """Find the nuclei of images and slides: masks, outlines for QuPath, tables.

    The same command again resumes. Exit status 1 means that some images could not be read.
    """
    source = model_source(workdir, model)
    if not (source and inputs and out):
        raise UserError(
            "predict needs --workdir or --model, --inputs and --out",
            advice=f"{PROGRAM} predict --workdir=runs/NAME --inputs='images/*.png' --out=nuclei",
        )
    if simplify_px and names is None:
        raise UserError("--simplify_px goes with --formats", advice="add --formats, or leave it out")
    require_extra("images", "predict")
    chosen, options = chosen_formats(names, simplify_px) if names is not None else ({}, None)
    start_jax()

    from nucseg_jax.cli.predict import PredictSettings, predict
    from nucseg_jax.cli.predict_inputs import split_inputs
    from nucseg_jax.heads.decoding.find_nuclei import NucleusRule

    if threshold is not None:
        # Refused before the run is loaded, which takes seconds.
        NucleusRule(threshold=threshold)
    failures = predict(
        source,
        [name for text in inputs for name in split_inputs(text)],
        user_path(out),
        PredictSettings(
            microns_per_px=mpp,
            tile_px=tile_px,
            overlap_px=overlap_px,
            rule=None,
            mpp_from_objective=mpp_from_objective,
            views=views,
            adapts=adapt,
        ),
        batch_size=batch_size,
        threshold=threshold,
    )
    if options is not None:
        from nucseg_jax.cli.formats import formats

        formats(user_path(out), chosen, None, options, may_be_none=True)
    if failures:
        sys.exit(1)
