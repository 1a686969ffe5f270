"""The verb `models`: its flags and its help."""

import click

from nucseg_jax.cli.start import start_jax, verb


@verb("models")
def command() -> None:
    """List the trained models of this installation: data, scale, scores, licence, model card."""
    start_jax()

    from nucseg_jax.cli.models import models_text

    click.echo(models_text())
