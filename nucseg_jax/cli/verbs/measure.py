"""The verb `measure`: its flags and its help."""

import sys

import click

from nucseg_jax.cli.start import verb
from nucseg_jax.cli.verbs.formats import chosen_formats, formats_options
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM


@verb(
    "measure --labels='labels/*.tif' --inputs='images/*.png' --mpp=0.25 --out=nuclei\n"
    "measure --labels=qupath --inputs=slides --out=nuclei --formats=anndata"
)
@click.option(
    "--labels",
    metavar="PATH,...",
    multiple=True,
    help="Label images (PNG, TIFF, .npy: the number of its nucleus at each pixel, or a mask of one value), .mat with"
    " inst_map, QuPath's GeoJSON; files, folders or patterns.",
)
@click.option(
    "--inputs",
    metavar="PATH,...",
    multiple=True,
    help="Their images, of the same names before the endings; `a.png` has `a.tif` or `a_masks.tif`.",
)
@click.option("--out", metavar="DIR", type=click.Path(), help="The folder to write.")
@click.option("--mpp", type=float, help="Microns per pixel of all images.  [default: as each file states]")
@formats_options
def command(
    labels: tuple[str, ...],
    inputs: tuple[str, ...],
    out: str | None,
    mpp: float | None,
    names: str | None,
    simplify_px: float,
) -> None:
    """Measure nuclei that another program found: the tables and outlines that predict writes.

    The same command again leaves finished images alone. Exit status 1 means that some could not be read.
    """
    if not (labels and inputs and out):
        raise UserError(
            "measure needs --labels, --inputs and --out",
            advice=f"{PROGRAM} measure --labels='labels/*.tif' --inputs='images/*.png' --out=nuclei",
        )
    if simplify_px and names is None:
        raise UserError("--simplify_px goes with --formats", advice="add --formats, or leave it out")
    require_extra("images", "measure")
    chosen, options = chosen_formats(names, simplify_px) if names is not None else ({}, None)

    from nucseg_jax.cli.measure import measure
    from nucseg_jax.cli.predict_inputs import split_inputs

    failures = measure(
        [name for text in labels for name in split_inputs(text)],
        [name for text in inputs for name in split_inputs(text)],
        user_path(out),
        microns_per_px=mpp,
    )
    if options is not None:
        from nucseg_jax.cli.formats import formats

        formats(user_path(out), chosen, None, options, may_be_none=True)
    if failures:
        sys.exit(1)
