"""Facts of how a model came about, for `run.json` of a model folder: config, scores, split and versions of its run."""

import re
from typing import Any

from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.run import Run
from nucseg_jax.run_folder.check import read_results
from nucseg_jax.run_folder.folder import RunFolder


def model_origin(run: Run) -> JsonObject:
    """Returns facts of a run that no prediction depends on, as JSON values.

    Paths keep their last part alone: the others tell of a machine, and a model is handed on.

    Raises:
      UserError: results.json or split.json is damaged or altered.
    """
    folder = RunFolder(run.path)
    _, split = folder.read_splits()
    return {
        "config": without_folders(run.experiment.config.as_json()),
        "results": read_results(folder) if folder.results.exists() else {},
        "split_digest": split["digest"],
        "data_digest": split["data_digest"],
        "trained_with": _versions(folder),
    }


def without_folders(value: Any) -> Any:
    r"""Returns JSON values in which every text that is a path is its last part.

    >>> without_folders({"data": {"dir": "/home/me/data/", "source": "folder"}, "run": "a\\b"})
    {'data': {'dir': 'data', 'source': 'folder'}, 'run': 'b'}
    """
    if isinstance(value, dict):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str) and re.search(r"[/\\]", value):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def _versions(folder: RunFolder) -> JsonObject:
    """Returns the versions of the run's first start; {} where they are not known."""
    try:
        environment = read_json(folder.environment)
        return {"python": str(environment["python"]), "packages": dict(environment["packages"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
