"""The verb `robustness`: its flags and its help."""

import click

from nucseg_jax.cli.start import (
    Start,
    comma_list,
    config_option,
    pass_start,
    process_options,
    require_run_folder,
    start_jax,
    verb,
    workdir_option,
)
from nucseg_jax.cli.views import views_option
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path


@verb(
    "robustness --workdir=runs/quickstart\n"
    "robustness --workdir=runs/new --baseline=runs/old --kinds=noise,stain --data=data_dir/other --out=robust"
)
@workdir_option("The run folder; its best checkpoint is scored.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(),
    help="The folder to write; finished cells in it are kept.  [default: in RUN/robustness, where `report` finds it]",
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="The split to corrupt.",
)
@click.option("--kinds", metavar="NAME,...", help="Kinds of corruption.  [default: all]")
@click.option(
    "--baseline", metavar="DIR", type=click.Path(), help="Another run: gives mCE and paired differences."
)
@click.option(
    "--data",
    "others",
    metavar="NAME|FILE|DIR",
    multiple=True,
    help="Another prepared data set, scored as it is: its folder (all patches), or a config (its --split); may be given"
    " several times.",
)
@config_option
@click.option(
    "--instances", is_flag=True, help="Find and score nuclei of a run without an instance head too."
)
@views_option
@click.option("--force", is_flag=True, help="Score a split even if the run was trained on it.")
@process_options
@pass_start
def command(
    start: Start,
    workdir: str | None,
    out: str | None,
    split: str,
    kinds: str | None,
    baseline: str | None,
    others: tuple[str, ...],
    config: str | None,
    instances: bool,
    views: int,
    force: bool,
    distributed: bool,
    coordinator: str | None,
    processes: int | None,
    process_index: int | None,
) -> None:
    """Score a trained model on corrupted images and on other data sets.

    Ten kinds of corruption at five severities, in microns and optical density; rerun the same command to resume.
    --config names other data than the run's own, as for `evaluate`.
    """
    given = None if config is None and not start.overrides else start.config(config)
    if given is not None:
        given.checked()
    if not workdir:
        raise UserError("--workdir is missing", expected="the folder of a training run")
    if out == "":
        raise UserError("--out is empty", expected="a folder to write, or no --out for one inside the run")
    for flag, folder in (("--workdir", workdir), ("--baseline", baseline)):
        if folder:
            require_run_folder(flag, folder)
    if out and user_path(out).exists() and not user_path(out).is_dir():
        raise UserError(f"--out={user_path(out)} is a file", expected="a folder, new or of the same command")
    if kinds is not None and not comma_list(kinds):
        raise UserError("--kinds is empty", expected="names of kinds, or no --kinds for all of them")
    start_jax()
    start.join(distributed, coordinator, processes, process_index)

    from nucseg_jax.cli.robustness import robustness
    from nucseg_jax.cli.robustness_targets import Asked

    robustness(
        Asked(
            experiment=None if given is None else given.experiment(),
            split=split,
            kinds=comma_list(kinds),
            others=others,
            instances=instances,
            views=views,
            force=force,
        ),
        user_path(workdir),
        user_path(baseline) if baseline else None,
        user_path(out) if out else None,
    )
