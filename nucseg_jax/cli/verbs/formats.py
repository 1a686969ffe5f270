"""The verb `formats`: its flags and its help."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from nucseg_jax.cli.start import comma_list, verb
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.table import FORMATS, Format, named_formats


def formats_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --formats and --simplify_px."""
    of_outlines = ", ".join(name for name, form in FORMATS.items() if form.has_outlines)
    for option in (
        click.option(
            "--simplify_px",
            type=float,
            default=0.0,
            help=f"{of_outlines}: outlines with fewer corners, at most so many pixels off.  [default: as they are]",
        ),
        click.option(
            "--formats",
            "names",
            metavar="NAME,...",
            help="Other formats of the nuclei: "
            + "; ".join(f"{name} ({form.content})" for name, form in FORMATS.items())
            + ".",
        ),
    ):
        function = option(function)
    return function


def chosen_formats(names: str | None, simplify_px: float) -> tuple[Mapping[str, Format], Options]:
    """Returns the formats that --formats names and the options of --simplify_px.

    Raises:
      UserError: a name is unknown, an option is out of range or concerns none of them, or an extra is missing.
    """
    options = Options(simplify_px)
    chosen = named_formats(comma_list(names), options)
    for name, form in chosen.items():
        require_extra(form.extra, f"--formats={name}")
    return chosen, options


@verb("formats --nuclei=nuclei --formats=labels,geoparquet")
@click.option("--nuclei", metavar="DIR", type=click.Path(), help="The folder that `predict` wrote.")
@formats_options
@click.option("--out", metavar="DIR", type=click.Path(), help="The folder to write.  [default: --nuclei]")
def command(nuclei: str | None, names: str | None, simplify_px: float, out: str | None) -> None:
    """Write nuclei that `predict` found in the formats of other tools.

    The same command again writes what is missing, or was made from what has changed since.
    """
    if not (nuclei and names):
        raise UserError(
            "formats needs --nuclei and --formats",
            advice=f"{PROGRAM} formats --nuclei=nuclei --formats=labels,geoparquet",
        )
    chosen, options = chosen_formats(names, simplify_px)

    from nucseg_jax.cli.formats import formats

    formats(user_path(nuclei), chosen, user_path(out) if out else None, options)
