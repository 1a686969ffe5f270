"""Names of types: scores as results.json, baselines.json and the epochs of metrics.jsonl hold them."""

from typing import Any, TypeAlias

# {metric: value}, None where it is undefined.
Scores: TypeAlias = dict[str, float | None]
# Of a split: {convention: `Scores`}; "classes" is {class name: {convention: `Scores`}}. To those of a model come its
# losses, and entries with other batch-norm statistics; see `evaluation.split_scores.SplitScores`.
Entry: TypeAlias = dict[str, Any]
