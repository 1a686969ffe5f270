"""Options and start-up that the verbs share; quick to import."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from nucseg_jax.cli.given_config import GivenConfig, require_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import names_in
from nucseg_jax.core.paths import configs_folder, user_path
from nucseg_jax.core.program import PROGRAM


@dataclasses.dataclass
class Start:
    """The command line of this process, before a verb runs.

    Attributes:
      overrides: `--config.SECTION.FIELD=VALUE` of the command line.
      arguments: all words after the program's name.
      is_one_of_several: set by `join` where flags name other processes.
    """

    overrides: Sequence[str] = ()
    arguments: Sequence[str] = ()
    is_one_of_several: bool = False

    def config(self, name: str | None) -> GivenConfig:
        """Loads --config; see `require_config`."""
        return require_config(name, self.overrides)

    def join(
        self, distributed: bool, coordinator: str | None, processes: int | None, process_index: int | None
    ) -> None:
        """Connects this process with the others, if flags name others."""
        self.is_one_of_several = distributed or (coordinator, processes, process_index) != (None, None, None)
        if self.is_one_of_several:
            from nucseg_jax.runtime.processes import join_processes

            join_processes(coordinator, processes, process_index)


def start_jax() -> None:
    """Imports JAX with its cache of compiled programs; the verbs call it once their flags are valid."""
    from nucseg_jax.runtime.compilation_cache import enable_compilation_cache

    enable_compilation_cache()


pass_start = click.make_pass_decorator(Start)


def verb(example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a function a verb; its docstring is the help, followed by an example.

    Args:
      example: command lines without the program's name, one each line.
    """
    epilog = "\b\nExample:\n" + "\n".join(f"  {PROGRAM} {line}" for line in example.strip().splitlines())
    return functools.partial(
        click.command,
        epilog=epilog,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=False,
    )()


def _config_names(context: Any, parameter: Any, incomplete: str) -> list[str]:
    del context, parameter
    return [name for name in names_in(configs_folder()) if name.startswith(incomplete)]


def _sweep_names(context: Any, parameter: Any, incomplete: str) -> list[str]:
    del context, parameter
    return [name for name in names_in(configs_folder() / "sweeps") if name.startswith(incomplete)]


config_option = click.option(
    "--config",
    metavar="NAME|FILE",
    shell_complete=_config_names,
    help="A config: a name such as quickstart, or the path of a Python file, run as code. Its fields are changed by"
    " --config.SECTION.FIELD=VALUE; `config` shows them.",
)
sweep_option = click.option(
    "--sweep",
    metavar="NAME|FILE",
    shell_complete=_sweep_names,
    help="Rows of a sweep: a name such as seeds, or the path of a Python file, run as code. With --list, --index or"
    " --executor.",
)


def workdir_option(text: str) -> Callable[[Any], Any]:
    """Returns the option --workdir with its help."""
    return click.option("--workdir", metavar="DIR", type=click.Path(), help=text)


def _model_names(context: Any, parameter: Any, incomplete: str) -> list[str]:
    del context, parameter
    from nucseg_jax.model_folder.named import model_names

    return [name for name in model_names() if name.startswith(incomplete)]


model_option = click.option(
    "--model",
    metavar="NAME|DIR|FILE|URL",
    shell_complete=_model_names,
    help="In place of --workdir: a model of this installation by name (`models` lists them), a model folder, a file of"
    " `share`, or its URL: https:// or hf://, with #sha256=... behind it or without.",
)


def model_source(workdir: str | None, model: str | None) -> str | pathlib.Path | None:
    """Returns what --workdir or --model names, for `load_run`; None without either.

    Raises:
      UserError: both are given, or --model names nothing that is there.
    """
    if workdir and model:
        raise UserError("--workdir and --model are both given", expected="one of them")
    if model:
        from nucseg_jax.model_folder.named import check_model

        check_model(model)
        return model
    if workdir and "://" in workdir:
        raise UserError(
            f"--workdir={workdir} is a URL", expected="a folder or file here", advice="give it as --model"
        )
    return user_path(workdir) if workdir else None


def require_run_folder(flag: str, folder: str) -> None:
    """Raises UserError unless the value of a flag is a folder; a packed model holds neither splits nor checkpoints."""
    path = user_path(folder)
    if path.is_file():
        raise UserError(
            f"{flag}={path} is a file",
            expected="the folder of a training run",
            advice="a packed model is scored by evaluate --model=FILE --config=DATA",
        )
    if not path.is_dir():
        raise UserError(f"there is no run folder {path}", expected=f"the {flag} of a training run")


def process_options(function: Any) -> Any:
    """Adds the options of one of several processes."""
    for option in (
        click.option(
            "--process_index", type=click.IntRange(min=0), help="With --coordinator: index of this one."
        ),
        click.option(
            "--processes", type=click.IntRange(min=1), help="With --coordinator: number of processes."
        ),
        click.option("--coordinator", metavar="HOST:PORT", help="The first of several processes."),
        click.option(
            "--distributed",
            is_flag=True,
            help="One of several processes, as Slurm, MPI, Kubernetes or the TPU pod describes them.",
        ),
    ):
        function = option(function)
    return function


def comma_list(text: str | None) -> list[str]:
    """Splits the value of a flag at commas.

    >>> comma_list("device, host"), comma_list(None)
    (['device', 'host'], [])
    """
    return [part.strip() for part in (text or "").split(",") if part.strip()]
