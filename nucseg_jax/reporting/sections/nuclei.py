"""Test scores of nuclei as instances: in each average, by class, and how many nuclei there were."""

from collections.abc import Callable, Sequence

from nucseg_jax.evaluation.instances.instance_metrics import CLASS_METRICS, IMAGE, METRICS, POOLED
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.reporting.page.document import Block, Cell, Measured, Spread, Table
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import OVER_RUNS, by_configuration, gap_of, mean, over_runs
from nucseg_jax.reporting.sections.comparison import SPLIT
from nucseg_jax.reporting.sections.nuclei_comparison import intervals_blocks, nuclei_by_group_blocks
from nucseg_jax.reporting.sections.part import Part

# Columns of the table of averages; one that no run has is left out.
SHOWN = ("bpq", "mpq", "mpq_plus", "dq", "sq", "aji", "detection_f1")
# The first is shown in every average, the others of pooled counts.
SHOWN_OF_CLASSES = ("pq", "dq", "sq", "class_f1_plain", "class_f1_parity", "count_r2")


def with_nuclei(configurations: Sequence[Configuration]) -> dict[Configuration, tuple[Run, ...]]:
    """Returns the finished runs whose nuclei were scored in test, by configuration."""
    found = {
        each: tuple(run for run in each.finished if instance_score(run) is not None)
        for each in configurations
    }
    return {each: runs for each, runs in found.items() if runs}


def instance_score(run: Run, *place: str) -> float | None:
    """Returns the value at a place in the test split's "instances"; all of it for no place."""
    return at(run.results, SPLIT, "instances", *place)


def nuclei_blocks(part: Part) -> list[Block]:
    """Returns the tables of the runs whose nuclei were scored; nothing where none were."""
    scored = with_nuclei(part.configurations)
    if not scored:
        return []
    unscored = [
        run for each in part.configurations for run in each.finished if run not in scored.get(each, ())
    ]
    missing = "Nuclei were not scored when {} ended."
    again = "--config.eval.instances=True"
    uncounted = [run for runs in scored.values() for run in runs if SPLIT not in run.instances]
    without_counts = "No usable counts of nuclei of {}: their bPQ has no interval."
    return [
        _averages_table(part, scored),
        *intervals_blocks(part),
        *_classes_table(part, scored),
        *nuclei_by_group_blocks(part),
        _counts_table(part, scored),
        *gap_of(unscored, missing, lambda run: next_command.train_again(run, again)),
        *gap_of(uncounted, without_counts, next_command.train_again),
    ]


def _spread(runs: Sequence[Run], *place: str) -> Spread:
    return over_runs([instance_score(run, *place) for run in runs])


def _mean_count(runs: Sequence[Run], *place: str) -> Measured:
    """Returns the mean of a count over runs; without decimals where runs agree, as they do about the truth."""
    value = mean([instance_score(run, *place) for run in runs])
    return Measured(value, 0 if value is None or value == int(value) else 1)


def words_of_averages(noun: str) -> str:
    """Returns a sentence for each average."""
    return (
        f"`{noun}`: mean over the patches of a {noun} that have nuclei in truth, then over {noun}s; `{IMAGE}`: mean"
        f" over all these patches; `{POOLED}`: counts of all patches added up first, those without a nucleus included."
    )


def _averages_table(part: Part, scored: dict[Configuration, tuple[Run, ...]]) -> Table:
    info = part.cohort.info
    rows: list[tuple[Cell, ...]] = [
        (average, each.label, *(_spread(runs, average, metric) for metric in SHOWN))
        for average in averages(info)
        for each, runs in scored.items()
    ]
    # In file names of columns mPQ and mPQ+ would be the same.
    titles = (METRICS[metric].title + (f", {POOLED}" if metric == "mpq_plus" else "") for metric in SHOWN)
    names = ("average", "configuration", *titles)
    kept = [
        place for place in range(len(names)) if place < 2 or any(row[place] != (None, None) for row in rows)
    ]
    meanings = "; ".join(
        f"{METRICS[SHOWN[place - 2]].title}: {METRICS[SHOWN[place - 2]].meaning}" for place in kept[2:]
    )
    tuned = (
        " With an instance head, the rule by which pixels become nuclei was tuned on the validation patches; without"
        " one it is the default."
    )
    heads = {at(run.config, "model", "head") or "none" for runs in scored.values() for run in runs}
    return Table(
        part.file("nuclei"),
        f"Scores of nuclei in test, {OVER_RUNS}. {words_of_averages(info.group_noun)} Compare within an average only."
        f" {meanings}.{tuned if len(heads) > 1 and 'none' in heads else ''}",
        tuple(names[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows),
    )


def _counts_table(part: Part, scored: dict[Configuration, tuple[Run, ...]]) -> Table:
    def count(*place: str) -> Callable[[Configuration], Cell]:
        return lambda each: _mean_count(scored[each], *place)

    columns = {
        "patches": count("patches", "annotated"),
        "without a nucleus in truth": count("patches", "empty_truth"),
        "in prediction": count("patches", "empty_prediction"),
        "in both": count("patches", "both_empty"),
        "nuclei in truth": count("nuclei", "truth"),
        "predicted": count("nuclei", "predicted"),
        METRICS["count_r2"].title: lambda each: _spread(scored[each], POOLED, "count_r2"),
    }
    caption = f"Test patches and nuclei, mean over runs. R2 of counts: {METRICS['count_r2'].meaning}."
    return by_configuration(part.file("nuclei_counts"), caption, list(scored), columns)


def _classes_table(part: Part, scored: dict[Configuration, tuple[Run, ...]]) -> list[Block]:
    info = part.cohort.info
    noun = info.group_noun
    first, *others = SHOWN_OF_CLASSES
    columns = [(average, first) for average in averages(info)] + [(POOLED, metric) for metric in others]
    rows: list[tuple[Cell, ...]] = []
    for each, runs in scored.items():
        # Configurations with classes name their own.
        for name in runs[0].info.class_names:
            place = ("classes", name)
            if any(instance_score(run, *place) is not None for run in runs):
                patches = _mean_count(runs, *place, IMAGE, "images")
                cells = (_spread(runs, *place, *column) for column in columns)
                rows.append((each.label, name, patches, *cells))
    if not rows:
        return []
    titles = (f"{CLASS_METRICS[metric].title}, {average}" for average, metric in columns)
    meanings = "; ".join(
        f"{CLASS_METRICS[name].title}: {CLASS_METRICS[name].meaning}" for name in SHOWN_OF_CLASSES
    )
    caption = (
        f"Nuclei of each class in test, {OVER_RUNS}. Patches: those that have the class in truth; `{noun}` and"
        f" `{IMAGE}` average over these alone. {meanings}."
    )
    headers = ("configuration", "class", "patches", *titles)
    return [Table(part.file("nuclei_classes"), caption, headers, tuple(rows))]
