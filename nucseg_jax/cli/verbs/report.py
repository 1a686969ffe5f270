"""The verb `report`: its flags and its help."""

import click

from nucseg_jax.cli.given_config import paper_experiments
from nucseg_jax.cli.start import comma_list, start_jax, verb
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM


@verb("report --runs='runs/*' --out=report\nreport --runs='runs/*' --out=report --sort=score --baseline=unet")
@click.option(
    "--runs", metavar="PATTERN,...", help="Run folders, such as 'runs/*'; several patterns with commas."
)
@click.option("--out", metavar="DIR", type=click.Path(), help="The folder to write.")
@click.option(
    "--sort",
    type=click.Choice(["sweep", "score"]),
    default="sweep",
    show_default=True,
    help="Order of the configurations: that of their sweep's rows, or best first.",
)
@click.option(
    "--baseline",
    metavar="LABEL",
    default="",
    help="Configuration that the others are compared with; the best without it.",
)
@click.option("--paper", is_flag=True, help="Set the paper's tables beside any runs, and tell all gaps.")
@click.option("--pictures", is_flag=True, help="Draw test patches: errors, contours, best and worst.")
@click.option(
    "--robustness",
    metavar="DIR,...",
    help="Measurements that `robustness --out` wrote elsewhere; those inside the run folders are found without it.",
)
def command(
    runs: str | None,
    out: str | None,
    sort: str,
    baseline: str,
    paper: bool,
    pictures: bool,
    robustness: str | None,
) -> None:
    """Write a page that tells which configuration is best, from run folders."""
    if not (runs and out):
        raise UserError(
            "report needs --runs and --out", advice=f"{PROGRAM} report --runs='runs/*' --out=report"
        )
    if robustness is not None and not comma_list(robustness):
        raise UserError(
            "--robustness is empty", expected="folders that `robustness --out` wrote, with commas"
        )
    require_extra("report", "report")
    start_jax()

    from nucseg_jax.cli.report import report
    from nucseg_jax.reporting.sections.compose import Wishes

    wishes = Wishes(sort=sort, baseline=baseline, is_paper=paper, has_pictures=pictures)
    measured = [user_path(folder) for folder in comma_list(robustness)]
    report(runs, user_path(out), wishes, paper_experiments, measured)
