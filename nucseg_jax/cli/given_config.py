"""`--config` and `--config.SECTION.FIELD`: from the command line to a config, without JAX."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nucseg_jax.config import config_fields, read_config, read_config_file
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean_field, find_python_file
from nucseg_jax.core.paths import configs_folder, expand_user, user_path
from nucseg_jax.core.program import PROGRAM

if TYPE_CHECKING:
    import ml_collections

    from nucseg_jax.config import Config
    from nucseg_jax.experiment import Experiment
    from nucseg_jax.run_folder.environment import StartedFrom

_OVERRIDE = re.compile(r"--?(no)?config\.[^=]*")
_EXPECTED = "a file with get_config() -> ConfigDict, such as configs/quickstart.py"


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits a command line into overrides of config fields and everything else.

    Args:
      arguments: without the program's name.

    Returns:
      `--config.SECTION.FIELD=VALUE` of each override, and the other arguments in their order.

    >>> split_overrides(["train", "--config.train.lr", "-1", "--config=a.py", "--config.augment.flips", "--list"])
    (['--config.train.lr=-1', '--config.augment.flips'], ['train', '--config=a.py', '--list'])
    """
    overrides: list[str] = []
    others: list[str] = []
    takes_value = False
    for position, argument in enumerate(arguments):
        if argument == "--":
            return overrides, [*others, *arguments[position:]]
        if takes_value and (not argument.startswith("-") or re.match(r"-[.\d]", argument)):
            overrides[-1] += f"={argument}"
            takes_value = False
        elif _OVERRIDE.match(argument):
            overrides.append(argument)
            takes_value = "=" not in argument and not _is_boolean(argument)
        else:
            others.append(argument)
            takes_value = False
    return overrides, others


def _is_boolean(override: str) -> bool:
    """Returns True if an override needs no value: `--config.augment.flips`, `--noconfig.augment.flips`."""
    declared = config_fields().get(_field_of(override))
    return override.lstrip("-").startswith("no") or (declared is not None and declared.kind is bool)


def _field_of(override: str) -> str:
    """Returns the field of an override, 'section.field'."""
    return re.sub(r"^--?(no)?config\.|=.*$", "", override, flags=re.DOTALL)


@dataclasses.dataclass(frozen=True)
class GivenConfig:
    """A config file and what the command line changes in it.

    Attributes:
      name: as it was given, `~` expanded.
      values: the config.
      overrides: {'section.field': value}.
    """

    name: str
    values: "ml_collections.ConfigDict"
    overrides: dict[str, Any]

    def checked(self) -> "Config":
        """Returns the config with every field checked; imports no JAX."""
        return read_config(self.values)

    def experiment(self) -> "Experiment":
        """Returns the parts that the config describes."""
        self.checked()
        from nucseg_jax.experiment import read_experiment

        return read_experiment(self.values)

    def started_from(self) -> "StartedFrom":
        """Returns the origin of the config, for the record of a run."""
        from nucseg_jax.run_folder.environment import StartedFrom

        return StartedFrom(self.name, self.overrides)


def require_config(name: str | None, overrides: Sequence[str]) -> GivenConfig:
    """Loads the config of a verb that needs one.

    Raises:
      UserError: --config is missing; or see `load_config`.
    """
    if name is None:
        if overrides:
            field = overrides[0].partition("=")[0]
            raise UserError(f"{field} has no config to change", expected=f"--config=NAME with {field}")
        raise UserError(
            "--config is missing",
            expected="the name of a config, or the path of a config file or of a run's config.json",
            advice=f"add --config=quickstart; {PROGRAM} config --list shows the names",
        )
    return load_config(name, overrides)


def load_config(name: str, overrides: Sequence[str]) -> GivenConfig:
    """Runs a config file, or reads the config.json of a run, and changes the fields that the command line overrides.

    Args:
      name: of a config that comes with this package, or a path; `FILE.py:TEXT` hands TEXT to `get_config`.
      overrides: `--config.SECTION.FIELD=VALUE`, read by ml_collections.

    Raises:
      UserError: no such file or field, a value of another type, or a file that makes no config.
    """
    if not name or name.startswith("-"):
        raise UserError(f"--config is followed by {name or 'nothing'}", expected="--config=NAME")
    path, colon, text = name.partition(":")
    file = _config_file(path)
    if colon and file.suffix == ".json":
        raise UserError(
            f"--config={name} has a text for {file.name}", expected="a text for a Python file alone"
        )
    shown = f"{expand_user(path)}{colon}{text}"

    from absl import flags
    from ml_collections import ConfigDict, config_flags

    values = flags.FlagValues()
    # A fault of a file that was stored is told here; of one that is run, where ml_collections first uses it.
    stored = ConfigDict(dataclasses.asdict(read_config_file(file))) if file.suffix == ".json" else None
    try:
        if stored is None:
            arguments = ["nucseg", f"--config={file}{colon}{text}", *overrides]
            config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=arguments)
        else:
            arguments = ["nucseg", *overrides]
            config_flags.DEFINE_config_dict("config", stored, flag_values=values, sys_argv=arguments)
        values(arguments)
        config = values.config
        if not hasattr(config, "copy_and_resolve_references"):
            raise UserError(
                f"the file of --config makes a config of type {type(config).__name__}", expected=_EXPECTED
            )
        given = config_flags.get_override_values(values["config"])
        return GivenConfig(shown, config.copy_and_resolve_references(), given)
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(
            f"{error.filename}, line {error.lineno}, is not Python: {error.msg}",
            expected="a Python file such as configs/quickstart.py",
        ) from None
    except (AttributeError, KeyError) as error:
        if str(error).endswith("has no attribute 'get_config'"):
            raise UserError(
                f"{file} has no function get_config",
                expected=f"{_EXPECTED}; files of configs/sweeps/ are given by --sweep",
            ) from None
        _refuse_unknown(overrides, error)
        # It is a fault of the config file itself, whose traceback shows the line.
        raise
    except OSError as error:
        # ml_collections keeps an error of the config file until its first use.
        raise UserError(
            f"the config file {file} cannot be loaded: {error}",
            expected="a file such as configs/quickstart.py",
        ) from None
    except (flags.Error, TypeError, ValueError) as error:
        if not overrides and not isinstance(error, flags.Error):
            raise
        _refuse_unknown(overrides, error)
        raise UserError(
            _unparsed(name, overrides, error),
            expected="--config.SECTION.FIELD=VALUE with a value of the field's type",
            advice=f"{PROGRAM} config shows all fields",
        ) from None


def _config_file(text: str) -> pathlib.Path:
    """Finds the file of a config by its name or path; one of JSON need not be there.

    Raises:
      UserError: there is none; it names the nearest, or the config.json of a run.
    """
    path = user_path(text)
    if path.suffix == ".json":
        return path
    if (path / "config.json").is_file():
        raise UserError(f"--config={path} is a folder; did you mean {path / 'config.json'}?")
    return find_python_file(text, kind="config", examples=configs_folder())


def _refuse_unknown(overrides: Sequence[str], error: Exception) -> None:
    unknown = unknown_overrides(overrides)
    if unknown:
        raise UserError(
            "; ".join(unknown),
            expected="--config.SECTION.FIELD=VALUE with the fields of a config",
            advice=f"{PROGRAM} config shows them all",
        ) from error


def _unparsed(name: str, overrides: Sequence[str], error: Exception) -> str:
    """Names the argument that cannot be parsed, with the reason."""
    # ml_collections puts the traceback of a config file into its message, and absl the words of an error as a tuple.
    told = str(error).strip().splitlines()[-1] if "Traceback" in str(error) else str(error)
    told = re.sub(r"\('([^']*)', '[^']*'\)$", r"\1", told)
    named = re.fullmatch(r"flag (--\S+?=.*?): (.*)", told, re.DOTALL)
    if named:
        return f"{named[1]} cannot be parsed: {named[2]}"
    return f"{' '.join(overrides) or f'--config={name}'} cannot be parsed: {told}"


def unknown_overrides(overrides: Sequence[str]) -> list[str]:
    """Returns a sentence for each override of a field that configs do not have, with the nearest names."""
    known = config_fields()
    given = [_field_of(override) for override in overrides]
    return [
        f"--config.{field}: configs have no field {field}{did_you_mean_field(field, known)}"
        for field in given
        if field not in known
    ]


def paper_experiments() -> "list[Experiment]":
    """Returns the paper's four models, in the order of its Table 1."""
    from nucseg_jax.reporting.reading.paper import PAPER_MODELS

    return [load_config(pathlib.PurePath(model.config).stem, ()).experiment() for model in PAPER_MODELS]


def sweep_file(text: str) -> pathlib.Path:
    """Finds a sweep file by name or path.

    Raises:
      UserError: there is none; it names the nearest.
    """
    return find_python_file(text, kind="sweep", examples=configs_folder() / "sweeps")
