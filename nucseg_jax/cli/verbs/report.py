"""The verb `report`: its flags and its help."""

import click

from nucseg_jax.cli.given_config import paper_experiments
from nucseg_jax.cli.start import start_jax, verb
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM


@verb("report --runs='runs/*' --out=report")
@click.option(
    "--runs", metavar="PATTERN,...", help="Run folders, such as 'runs/*'; several patterns with commas."
)
@click.option("--out", metavar="DIR", type=click.Path(), help="The folder to write.")
def command(runs: str | None, out: str | None) -> None:
    """Write the paper's tables and figures from run folders, beside the paper's values."""
    if not (runs and out):
        raise UserError(
            "report needs --runs and --out", advice=f"{PROGRAM} report --runs='runs/*' --out=report"
        )
    require_extra("report", "report")
    start_jax()

    from nucseg_jax.cli.report import report

    report(runs, user_path(out), paper_experiments())
