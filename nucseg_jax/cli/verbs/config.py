"""The verb `config`: its flags and its help."""

import click

from nucseg_jax.cli.start import Start, config_option, pass_start, verb
from nucseg_jax.core.nearest import names_in
from nucseg_jax.core.paths import configs_folder


@verb("config --list\nconfig loss train.lr\nconfig --config=quickstart model")
@click.argument("fields", nargs=-1)
@config_option
@click.option(
    "--list", "list_names", is_flag=True, help="List the configs and sweeps that come with this package."
)
@pass_start
def command(start: Start, fields: tuple[str, ...], config: str | None, list_names: bool) -> None:
    """Show the fields of a config: value, range or choices, what they affect, meaning.

    FIELDS are sections or SECTION.FIELD; without any all fields are shown.
    """
    from nucseg_jax.cli.config_page import field_texts

    if list_names:
        for title, folder in (("configs", configs_folder()), ("sweeps", configs_folder() / "sweeps")):
            click.echo(f"{title} of {folder}:")
            for name in names_in(folder):
                click.echo(f"  {name}")
        return
    values = None
    if config is not None or start.overrides:
        given = start.config(config)
        given.checked()
        values = given.values.to_dict()
    click.echo("\n".join(field_texts(fields, values)))
