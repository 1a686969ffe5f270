"""Facts about a run or a model that its exports state, and images that they are compared on."""

from typing import Any

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.evaluation.examples import SPREAD, examples_path, read_examples
from nucseg_jax.model_folder.facts import ModelFacts
from nucseg_jax.model_folder.folder import is_model_folder, read_model_folder
from nucseg_jax.run import Run
from nucseg_jax.run_folder.check import read_results
from nucseg_jax.run_folder.folder import RunFolder

# Test scores that are kept, beside those of the data set's groups.
_SCORES = ("micro", "image_skip", "classes", "instances")
_MOST_IMAGES = 8
# Seed, fold and row of a patch with nuclei.
_PAINTED = (0, 1, 10)


def facts_of(run: Run) -> ModelFacts:
    """Returns the facts of a model folder, or those that one of this run would have, in float32."""
    if is_model_folder(run.path):
        return read_model_folder(run.path).facts
    return ModelFacts.of_config(
        run.experiment.config,
        info=run.info,
        rule=run.rule,
        stain=run.stain,
        checkpoint_step=run.checkpoint_step,
        stored_dtype="float32",
        scores=test_scores(run),
        licence=run.info.licence,
    )


def test_scores(run: Run) -> dict[str, Any]:
    """Returns scores of the run's test split; {} where it has none that are of the exported statistics."""
    folder = RunFolder(run.path)
    if not folder.results.exists() or run.experiment.config.eval.reestimate_batch_norm:
        return {}
    test = read_results(folder).get("test", {})
    splits, _ = folder.read_splits()
    return {
        "patches": len(splits.test),
        **{name: test[name] for name in (*_SCORES, run.info.group_noun) if name in test},
    }


def example_images(run: Run, most: int = _MOST_IMAGES) -> tuple[np.ndarray, str]:
    """Returns images uint8 [N, H, W, 3] of the run's test split where it keeps some, else a painted one; and a name."""
    path = examples_path(run.path, "test")
    if path.exists():
        images = read_examples(path, run.info).only(SPREAD).image[:most]
        if len(images):
            return images, counted(len(images), "test patch")
    px, _ = run.tiles()
    painted = paint_patch(*_PAINTED).image
    repeats = -(-px // painted.shape[0])
    return np.tile(painted, (repeats, repeats, 1))[None, :px, :px], "a painted patch"
