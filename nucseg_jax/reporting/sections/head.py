"""The head of the page: what was read, what of it cannot be compared, and which configurations there are."""

from collections.abc import Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.reporting.page.document import (
    Block,
    Gap,
    Heading,
    Numbers,
    Paragraph,
    Table,
    Warn,
)
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Cohort, differing_fields, phrase
from nucseg_jax.reporting.reading.find import Found
from nucseg_jax.reporting.reading.paper import DATA_SET, PROTOCOL
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.run_folder.record import UNCHECKED

_DIGEST = 8


def head_blocks(found: Found, cohorts: Sequence[Cohort]) -> list[Block]:
    """Everything before the first table of the paper."""
    finished = sum(run.results is not None for run in found.runs)
    configurations = sum(len(cohort.configurations) for cohort in cohorts)
    summary = (
        f"{counted(len(found.runs), 'run')} read, {finished} finished: {counted(configurations, 'configuration')}"
        " (runs that differ only in their seed, or in fields that change no number, are one). Every number"
        " comes from the run folders below; the CSV file named beside each table and figure says from which"
        " file."
    )
    blocks: list[Block] = [Heading("What was read"), Paragraph(summary)]
    blocks += [Warn(text) for text in (*warnings(found, cohorts), *unchecked(found))]
    blocks += [_runs_table(cohorts)]
    if found.left_out:
        rows = tuple(found.left_out)
        blocks.append(
            Table(
                "left_out",
                "Folders that match and were left out.",
                ("folder", "reason"),
                rows,
                Numbers(("folder", "reason"), rows),
            )
        )
    blocks += [
        Gap(
            f"{run.path} is {run.state}: {'curves, and no scores' if run.epochs else 'no curves and no scores'}.",
            next_command.resume(run),
        )
        for run in found.runs
        if run.results is None
    ]
    blocks += [Gap(f"{run.path}/{fault}") for run in found.runs for fault in run.faults]
    blocks += _configurations_table(cohorts)
    return blocks


def warnings(found: Found, cohorts: Sequence[Cohort]) -> list[str]:
    """What a reader must know before comparing anything."""
    texts = []
    if len(cohorts) > 1:
        texts.append(
            f"The runs stand on {len(cohorts)} different data sets or splits. Scores on different patches are"
            " not comparable; the page keeps them in parts of their own and compares nothing across them."
        )
    for copy in found.copies:
        damage = f"; the copy is damaged: {'; '.join(copy.damage)}" if copy.damage else ""
        texts.append(f"{copy.folder} is a copy of {copy.original}, which is counted once{damage}.")
    commits = {run.commit for run in found.runs if run.commit != "–"}
    if len(commits) > 1:
        texts.append(
            f"The runs were made by {counted(len(commits), 'commit')} of the code ({', '.join(sorted(commits))}): a"
            " difference between configurations may be one between commits. CHANGELOG.md lists, under"
            " Numbers, what changed results."
        )
    changed = [str(run.path) for run in found.runs if at(run.environment, "git", "dirty")]
    if changed:
        texts.append(
            f"{counted(len(changed), 'run')} of a checkout with uncommitted changes: {', '.join(changed)}."
        )
    devices = {run.device for run in found.runs if run.device != "–"}
    if len(devices) > 1:
        texts.append(f"Times come from different devices ({', '.join(sorted(devices))}) and say little.")
    for cohort in cohorts:
        for configuration in cohort.configurations:
            seeds = [run.seed for run in configuration.finished]
            repeated = sorted({str(seed) for seed in seeds if seeds.count(seed) > 1})
            if repeated:
                texts.append(
                    f"{configuration.name}: seed {', '.join(repeated)} was run more than once with different"
                    " results; each run counts."
                )
    return texts


def unchecked(found: Found) -> list[str]:
    """The runs that kept no digests, in one sentence; none if all did."""
    paths = [str(run.path) for run in found.runs if not run.is_checked and not run.is_damaged("record.json")]
    return [f"{counted(len(paths), 'run')} {UNCHECKED}: {', '.join(paths)}."] if paths else []


def describe_cohort(cohort: Cohort) -> str:
    """What the runs of a cohort share: data, split, numbers of patches."""
    run = cohort.runs[0]
    sizes = f"{run.sizes['train']:,} / {run.sizes['validation']:,} / {run.sizes['test']:,}"
    source = at(run.config, "data", "source")
    data = {
        "synthetic": "Painted patches (no tissue: a trial of the machinery)",
        "release": "Patches of a release folder",
        "download": "PanNuke as published",
    }.get(str(source), "Patches of unknown source")
    if run.info.name != DATA_SET:
        data = f"{run.info.name}, patches of {run.info.patch_px} px at {run.info.microns_per_px:g} microns per pixel"
    protocol = at(run.config, "split", "protocol")
    number = "" if protocol == "paper" else f" {at(run.config, 'split', 'number')}"
    anew = all(at(each.config, "eval", "reestimate_batch_norm") for each in cohort.runs)
    statistics = (
        " All scores are with batch-norm statistics estimated anew on training tiles." if anew else ""
    )
    caution = " by patch at random, so that slides may fall on both sides" if protocol == "paper" else ""
    papers = f" (the paper: {PROTOCOL})" if run.info.name == DATA_SET else ""
    return (
        f"{data}; {protocol} split{number}{caution}; {sizes} patches to train, validate"
        f" and test. Data `{cohort.data_digest[:_DIGEST]}`, split `{cohort.split_digest[:_DIGEST]}`. Training:"
        f" {_protocol(cohort)}{papers}.{statistics}"
    )


def _protocol(cohort: Cohort) -> str:
    """How long, on what and how fast the runs trained; values that they do not share are all named."""
    words = []
    for field in ("train.epochs", "train.tile_px", "train.batch_size", "train.lr"):
        values = [configuration.fields.get(field) for configuration in cohort.configurations]
        words.append(" or ".join(dict.fromkeys(phrase(field, value) for value in values)))
    return ", ".join(words)


def _runs_table(cohorts: Sequence[Cohort]) -> Table:
    shown, numbers = [], []
    for cohort in cohorts:
        for configuration in cohort.configurations:
            for run in configuration.runs:
                label = at(run.environment, "started_from", "sweep", "label")
                shown.append(
                    (
                        str(run.path),
                        configuration.name + (f" (sweep row {label})" if label else ""),
                        str(run.seed),
                        run.state,
                        run.commit,
                        run.data_digest[:_DIGEST],
                        run.split_digest[:_DIGEST],
                        run.device,
                    )
                )
                numbers.append(
                    (
                        str(run.path),
                        configuration.name,
                        run.seed,
                        run.state,
                        at(run.environment, "git", "commit"),
                        str(at(run.environment, "git", "dirty")),
                        run.data_digest,
                        run.split_digest,
                        run.device,
                        label,
                        run.command,
                    )
                )
    return Table(
        "runs",
        "Runs. A plus behind a commit: with uncommitted changes.",
        ("run", "configuration", "seed", "state", "commit", "data", "split", "device"),
        tuple(shown),
        Numbers(
            (
                "run",
                "configuration",
                "seed",
                "state",
                "commit",
                "dirty",
                "data_digest",
                "split_digest",
                "device",
                "sweep_label",
                "command",
            ),
            tuple(numbers),
        ),
    )


def _configurations_table(cohorts: Sequence[Cohort]) -> list[Block]:
    configurations = [configuration for cohort in cohorts for configuration in cohort.configurations]
    fields = differing_fields(configurations)
    if not fields:
        return []
    rows = tuple(
        (
            configuration.name,
            ", ".join(phrase(field, configuration.fields.get(field)) for field in fields),
            str(len(configuration.finished)),
        )
        for configuration in configurations
    )
    numbers = tuple(
        (str(run.path), "config.json", configuration.name, field, str(configuration.fields.get(field)))
        for configuration in configurations
        for run in configuration.runs
        for field in fields
    )
    return [
        Heading("Configurations", 3),
        Table(
            "configurations",
            "Every field in which configurations differ. A name tells the fields that differ within a model, and what a"
            " model has unlike most configurations; dropout and L2, of which each model of the paper has its own, only"
            " where they differ within a model.",
            ("configuration", "fields that differ", "finished runs"),
            rows,
            Numbers(("run", "file", "configuration", "field", "value"), numbers),
        ),
    ]
