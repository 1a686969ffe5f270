"""The verb `profile`: its flags and its help."""

import click

from nucseg_jax.cli.start import Start, comma_list, config_option, pass_start, start_jax, verb
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path


@verb("profile --config=quickstart --feeds=synthetic,device --batch_sizes=2,8")
@config_option
@click.option(
    "--feeds", metavar="FEED,...", help="Some of synthetic,device,host.  [default: all that the data allow]"
)
@click.option("--batch_sizes", metavar="SIZE,...", help="Such as 2,8.  [default: the config's]")
@click.option("--dtypes", metavar="DTYPE,...", help="Such as float32,bfloat16.  [default: the config's]")
@click.option(
    "--seconds",
    type=float,
    default=20.0,
    show_default=True,
    help="Time to measure each row for, without compilation.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
@click.option(
    "--trace", metavar="DIR", type=click.Path(), help="Write a trace that TensorBoard and Perfetto show."
)
@pass_start
def command(
    start: Start,
    config: str | None,
    feeds: str | None,
    batch_sizes: str | None,
    dtypes: str | None,
    seconds: float,
    as_json: bool,
    trace: str | None,
) -> None:
    """Measure how fast a config trains and evaluates here, and what share of the machine that is."""
    try:
        sizes = [int(size) for size in comma_list(batch_sizes)]
    except ValueError:
        raise UserError(f"--batch_sizes is {batch_sizes}", expected="whole numbers, such as 2,8") from None
    given = start.config(config)
    given.checked()
    start_jax()
    experiment = given.experiment()

    from nucseg_jax.cli.profile import profile

    profile(
        experiment,
        feeds=comma_list(feeds),
        batch_sizes=sizes,
        dtypes=comma_list(dtypes),
        seconds=seconds,
        as_json=as_json,
        trace=user_path(trace) if trace else None,
    )
