"""The verb `convert`: its flags and its help."""

import click

from nucseg_jax.cli.start import start_jax, verb
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.paths import expand_user, user_path
from nucseg_jax.core.program import PROGRAM


@verb("convert --encoder=resnet50 --source=download --out=weights/resnet50")
@click.option("--encoder", metavar="NAME", help="The encoder, such as resnet50.")
@click.option(
    "--source", metavar="FILE|download", help="A file of weights, or 'download' for the official one."
)
@click.option("--out", metavar="DIR", type=click.Path(), help="The folder to write.")
def command(encoder: str | None, source: str | None, out: str | None) -> None:
    """Convert encoder weights of Keras, torchvision or timm to the checkpoint that pretrained.path names."""
    if not (encoder and source and out):
        raise UserError(
            "convert needs --encoder, --source and --out",
            advice=f"{PROGRAM} convert --encoder=resnet50 --source=download --out=weights/resnet50",
        )
    require_extra("convert", "convert")
    start_jax()

    from nucseg_jax.cli.convert import convert

    convert(encoder, expand_user(source), user_path(out))
