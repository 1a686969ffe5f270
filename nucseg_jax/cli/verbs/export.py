"""The verb `export`: its flags and its help."""

import click

from nucseg_jax.cli.start import start_jax, verb, workdir_option
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM


@verb("export --workdir=runs/NAME --out=model.stablehlo")
@workdir_option("The run folder of the model.")
@click.option("--out", metavar="FILE", type=click.Path(), help="The file to write.")
def command(workdir: str | None, out: str | None) -> None:
    """Write the model of a run as a StableHLO program that needs only JAX, for CPU, CUDA and TPU."""
    if not (workdir and out):
        raise UserError(
            "export needs --workdir and --out",
            advice=f"{PROGRAM} export --workdir=runs/NAME --out=model.stablehlo",
        )
    start_jax()

    from nucseg_jax.cli.export import export

    export(user_path(workdir), user_path(out))
