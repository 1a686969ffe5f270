"""Prints the summary at the end of `train`, and again when a finished run is restarted."""

from typing import Any

from nucseg_jax.cli.headline import headline
from nucseg_jax.cli.table import results_table
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.program import PROGRAM_WORDS
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.core.terminal_lines import labelled, labelled_command
from nucseg_jax.run_folder.check import final_record, read_results
from nucseg_jax.run_folder.folder import RunFolder

_COLUMNS = 12


def print_end(folder: RunFolder, *, verbose: bool) -> None:
    """Prints the test score in one line, the run folder and the next commands.

    Args:
      folder: of a finished run.
      verbose: print the table of results.json first.
    """
    results = read_results(folder)
    splits, _ = folder.read_splits()
    print()
    if verbose:
        print(results_table(results, group_noun=folder.read_info().group_noun), end="\n\n")
    print(headline("test", results["test"], read_baselines(folder), patches=len(splits.test)), end="\n\n")
    path = str(folder.path)
    print(labelled("run folder:", f"{path}; all scores: {folder.results.name}", columns=_COLUMNS))
    for label, words in {
        "table:": (*PROGRAM_WORDS, "evaluate", f"--workdir={path}"),
        "predict:": (*PROGRAM_WORDS, "predict", f"--workdir={path}", "--inputs=images/*.png", "--out=nuclei"),
        "report:": (*PROGRAM_WORDS, "report", f"--runs={path}", "--out=report"),
        "curves:": ("tensorboard", "--logdir", str(folder.tensorboard)),
    }.items():
        print(labelled_command(label, words, columns=_COLUMNS))


def read_baselines(folder: RunFolder) -> dict[str, Any]:
    """Reads baselines.json; empty where there is none. A damaged one is named in a line and ignored."""
    if not folder.baselines.exists():
        return {}
    try:
        record = final_record(folder)
        if record is not None:
            record.require_file(folder.baselines)
        baselines = read_json(folder.baselines)
        for of_split in baselines.values():
            float(of_split["test"]["micro"]["dice"] or 0.0)
        return dict(baselines)
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{folder.baselines} is ignored: {reason_of(error)}")
        return {}
