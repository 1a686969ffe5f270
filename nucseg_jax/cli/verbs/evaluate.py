"""The verb `evaluate`: its flags and its help."""

import click

from nucseg_jax.cli.start import (
    Start,
    config_option,
    model_option,
    model_source,
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
    "evaluate --workdir=runs/quickstart --split=validation\n"
    "evaluate --model=small --config=folder --config.data.dir=data_dir/own --out=scores\n"
    "evaluate --config=quickstart --baselines"
)
@config_option
@workdir_option("The run folder; without it and --model baselines alone are scored.")
@model_option
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="The split to score.",
)
@click.option(
    "--baselines", is_flag=True, help="Score Otsu's threshold, and everything predicted as nucleus, too."
)
@click.option(
    "--instances",
    is_flag=True,
    help="Find and score nuclei (PQ, AJI, F1) of a run without an instance head too.",
)
@click.option(
    "--predictions",
    metavar="PATH",
    type=click.Path(),
    help="Score nuclei that another program found, in place of a run's: a folder with FOLD_ROW.instance.png (npy, tif)"
    " and FOLD_ROW.class.png for each patch, or an array in the layout of PanNuke's masks.npy. With --config.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(),
    help="With --model: folder for results.json and tables by patch. With --predictions: for instances.json and"
    " nuclei.csv, a line for each pair of nuclei.",
)
@views_option
@click.option("--force", is_flag=True, help="Score a split even if the run was trained on it.")
@click.option("--verbose", is_flag=True, help="Print every convention.")
@process_options
@pass_start
def command(
    start: Start,
    config: str | None,
    workdir: str | None,
    model: str | None,
    split: str,
    baselines: bool,
    instances: bool,
    predictions: str | None,
    out: str | None,
    views: int,
    force: bool,
    verbose: bool,
    distributed: bool,
    coordinator: str | None,
    processes: int | None,
    process_index: int | None,
) -> None:
    """Score a trained model, or baselines, on a split.

    --config names other data or another split than the run's own; fields of `eval` may differ too. With --model it
    names the data, and its fields of `model` do not count.
    """
    given = None if config is None and not start.overrides else start.config(config)
    if given is not None:
        given.checked()
    model_source(workdir, model)
    if model and given is None:
        raise UserError(
            "--model needs --config", expected="the config that names the data set and its splits"
        )
    if out is not None and predictions is None and not model:
        raise UserError(
            "--out goes with --predictions and --model",
            advice="a run's scores are written into its own folder",
        )
    if predictions is not None and (workdir or model or baselines or given is None or views > 1):
        raise UserError(
            "--predictions was given"
            + (
                " without --config"
                if given is None
                else " with --views"
                if views > 1
                else " with a run, a model or baselines"
            ),
            expected="--config and --predictions alone: the config names the data set and its splits",
        )
    if workdir:
        require_run_folder("--workdir", workdir)
    start_jax()
    start.join(distributed, coordinator, processes, process_index)

    if predictions is not None and given is not None:
        from nucseg_jax.cli.evaluate_predictions import evaluate_predictions

        evaluate_predictions(
            given.experiment(), user_path(predictions), split=split, out=user_path(out) if out else None
        )
        return

    if model and given is not None:
        from nucseg_jax.cli.evaluate_model import evaluate_model

        evaluate_model(
            given.experiment(),
            model,
            split=split,
            out=user_path(out) if out else None,
            baselines=baselines,
            instances=instances,
            views=views,
            force=force,
            verbose=verbose,
        )
        return

    from nucseg_jax.cli.evaluate import evaluate

    evaluate(
        None if given is None else given.experiment(),
        user_path(workdir) if workdir else None,
        split=split,
        baselines=baselines,
        instances=instances,
        views=views,
        force=force,
        verbose=verbose,
    )
