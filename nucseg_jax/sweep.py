"""A sweep: labelled differences from one config, read from a Python file and checked before anything runs."""

import dataclasses
import pathlib
import re
import runpy
from collections.abc import Callable, Mapping

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean_field, find_python_file
from nucseg_jax.core.paths import configs_folder
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.data.split_sides import group_names
from nucseg_jax.data.store.reader import open_dataset
from nucseg_jax.experiment import Experiment, read_experiment

# A label names a folder, and LABEL.log beside it.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*(?<!\.log)")
ROW_SHAPE = '{"label": "l2_0.01", "overrides": {"loss.l2": 0.01}}'


@dataclasses.dataclass(frozen=True)
class Row:
    """One run of a sweep.

    Attributes:
      label: names its run folder.
      overrides: {'section.field': value}, what it changes in the config.
    """

    label: str
    overrides: dict[str, object]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
      file: its path.
      summary: the first line of its docstring; '' without one.
      rows: in the file's order; labels are unique.
    """

    file: pathlib.Path
    summary: str
    rows: tuple[Row, ...]

    def row(self, index: int) -> Row:
        """The row with this index.

        Raises:
          UserError: there is none.
        """
        if not 0 <= index < len(self.rows):
            raise UserError(
                f"{self.file} has no row {index}",
                expected=f"--index from 0 to {len(self.rows) - 1}",
                advice=f"{PROGRAM} train --sweep={self.file} --list shows the rows",
            )
        return self.rows[index]


def read_sweep(file: pathlib.Path, groups: Callable[[], list[str]] | None = None) -> Sweep:
    """Runs a sweep file and checks the form of its rows; their fields are checked by `row_experiments`.

    Args:
      file: a Python file, or the name of one of configs/sweeps, with `ROWS`, a list of {"label": str, "overrides":
        {"section.field": value}}; or with `rows_of`, a function from the names of a data set's groups to such a list.
      groups: gives these names, sorted; called only for `rows_of`.

    Raises:
      UserError: no such file, it fails, it has no rows, or a row has another form, no valid label, or that of
        another row.
    """
    file = find_python_file(str(file), kind="sweep", examples=configs_folder() / "sweeps")
    try:
        contents = runpy.run_path(str(file))
    except Exception as error:
        raise UserError(
            f"the sweep file {file} cannot be loaded: {type(error).__name__}: {error}",
            expected="a Python file such as configs/sweeps/seeds.py",
        ) from error
    rows = contents.get("ROWS")
    rows_of = contents.get("rows_of")
    if rows is None and callable(rows_of):
        if groups is None:
            raise UserError(
                f"the rows of {file} are the groups of a prepared data set",
                expected="the config that names it",
                advice="add --config=FILE",
            )
        names = groups()
        try:
            rows = rows_of(names)
        except Exception as error:
            raise UserError(
                f"rows_of of {file} fails on {len(names)} groups: {type(error).__name__}: {error}",
                expected="a function such as that of configs/sweeps/groups.py",
            ) from error
    if not isinstance(rows, list | tuple) or not rows:
        raise UserError(
            f"{file} has no ROWS" if rows is None else f"ROWS of {file} is {rows!r}"[:200],
            expected=f"ROWS = [{ROW_SHAPE}, ...]",
        )
    read: list[Row] = []
    for index, row in enumerate(rows):
        read.append(_read_row(row, f"{file}, row {index}"))
        same = next(number for number, earlier in enumerate(read) if earlier.label == read[-1].label)
        if same != index:
            raise UserError(
                f"{file}, row {index}: the label {read[-1].label!r} is that of row {same} too",
                expected="a label of its own for each row, since it names the run folder",
            )
    summary = (contents.get("__doc__") or "").strip().partition("\n")[0]
    return Sweep(file, summary, tuple(read))


def _read_row(row: object, where: str) -> Row:
    if not isinstance(row, Mapping) or set(row) != {"label", "overrides"}:
        raise UserError(f"{where} is {row!r}"[:300], expected=f"a row such as {ROW_SHAPE}")
    label, overrides = row["label"], row["overrides"]
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise UserError(
            f"{where}: the label is {label!r}",
            expected="letters, digits and . _ = - + with a letter or digit first, not ending in .log",
        )
    if not isinstance(overrides, Mapping) or not all(isinstance(field, str) for field in overrides):
        raise UserError(
            f"{where} ({label}): overrides is {overrides!r}"[:300], expected=f"a row such as {ROW_SHAPE}"
        )
    return Row(label, dict(overrides))


def prepared_groups(config: Mapping[str, object]) -> list[str]:
    """Returns the names of the groups that the prepared data set of a config has patches of, sorted.

    Raises:
      UserError: the config is not right, nothing was prepared, or groups were not kept when it was.
    """
    dataset = open_dataset(read_experiment(config).config.data.prepared_folder)
    return sorted(set(group_names(dataset.index, dataset.info).tolist()))


def with_overrides(
    config: Mapping[str, Mapping[str, object]], overrides: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """A config with some of its fields changed; the config itself stays as it is.

    Args:
      config: {section: {field: value}}.
      overrides: {'section.field': value}; types are not checked here.

    Raises:
      UserError: the config has no such field.

    >>> with_overrides({"loss": {"l2": 0.02, "smooth": 1e-6}}, {"loss.l2": 0.01})
    {'loss': {'l2': 0.01, 'smooth': 1e-06}}
    """
    changed = {section: dict(fields) for section, fields in config.items()}
    for field, value in overrides.items():
        section, _, name = field.partition(".")
        if name not in changed.get(section, {}):
            known = [f"{section}.{name}" for section, fields in changed.items() for name in fields]
            raise UserError(
                f"there is no field {field!r}{did_you_mean_field(field, known)}",
                expected="SECTION.FIELD of configs/base.py, such as train.lr",
            )
        changed[section][name] = value
    return changed


def row_experiments(
    sweep: Sweep, config: Mapping[str, Mapping[str, object]], given: Mapping[str, object]
) -> tuple[Experiment, ...]:
    """The experiment of each row, all checked.

    Args:
      sweep: the rows.
      config: sections of fields, with what the command line changes.
      given: {'section.field': value}, what the command line changes.

    Raises:
      UserError: the config itself is not right; or, naming the row, one of its fields is unknown, of the wrong
        type, out of range, or given on the command line too.
    """
    read_experiment(config)
    experiments = []
    for index, row in enumerate(sweep.rows):
        where = f"{sweep.file}, row {index} ({row.label})"
        twice = [field for field in row.overrides if field in given]
        if twice:
            raise UserError(
                f"{where} sets {', '.join(twice)}, and so does the command line",
                expected="fields that the rows leave alone; the command line's hold for every row",
                advice="leave out " + " ".join(f"--config.{field}" for field in twice),
            )
        try:
            experiments.append(read_experiment(with_overrides(config, row.overrides)))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    return tuple(experiments)
