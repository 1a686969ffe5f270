"""The verb `describe`: its flags and its help."""

import click

from nucseg_jax.cli.given_config import paper_experiments
from nucseg_jax.cli.start import Start, config_option, pass_start, start_jax, verb


@verb("describe --config=unet_resnet50\ndescribe --json")
@config_option
@click.option("--layers", is_flag=True, help="List every array of the model too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
@pass_start
def command(start: Start, config: str | None, layers: bool, as_json: bool) -> None:
    """Count the parameters and the arithmetic of a model: its row of the paper's Table 1.

    Without --config all four rows.
    """
    has_config = config is not None or start.overrides
    if has_config:
        start.config(config).checked()
    start_jax()
    experiments = [start.config(config).experiment()] if has_config else paper_experiments()

    from nucseg_jax.cli.describe import describe

    describe(experiments, as_json=as_json, layers=layers)
