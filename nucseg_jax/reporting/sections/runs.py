"""The runs and their faults: folders, config differences, warnings, damaged files."""

from collections.abc import Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.reporting.page.document import Block, Cell, Csv, Gap, Paragraph, Section, Table, Value, Warn
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Cohort, differing_fields, phrase
from nucseg_jax.reporting.reading.find import Found
from nucseg_jax.reporting.reading.paper import DATA_SET, PROTOCOL
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.run_folder.record import UNCHECKED

_DIGEST = 8


def runs_section(found: Found, cohorts: Sequence[Cohort]) -> Section:
    """Returns the section: warnings first, then every run, then the fields in which configurations differ."""
    blocks: list[Block] = [Warn(text) for text in problems(found, cohorts)]
    blocks += [Paragraph(describe_cohort(cohort)) for cohort in cohorts]
    blocks.append(_runs_table(cohorts))
    for run in found.runs:
        if run.results is None:
            blocks.append(Gap(f"The scores of {run.path}, which is {run.state}.", next_command.resume(run)))
    if found.left_out:
        caption = "Folders that match and were left out."
        blocks.append(Table("left_out", caption, ("folder", "reason"), tuple(found.left_out)))
    return Section("Runs", (*blocks, *_configurations_table(cohorts)))


def problems(found: Found, cohorts: Sequence[Cohort]) -> list[str]:
    """Returns all that a reader must know: what cannot be compared, and every file that is damaged or was altered."""
    faults = [f"{run.path}/{fault}" for run in found.runs for fault in run.faults]
    return [*faults, *warnings(found, cohorts), *unchecked(found)]


def warnings(found: Found, cohorts: Sequence[Cohort]) -> list[str]:
    """Returns what a reader must know before comparing anything."""
    texts = []
    if len(cohorts) > 1:
        texts.append(
            f"The runs are on {len(cohorts)} different data sets or splits. Scores on different patches are not"
            " comparable: each has a separate part of the page."
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
        texts.append(
            f"Times come from different devices ({', '.join(sorted(devices))}) and are not comparable."
        )
    for configuration in (configuration for cohort in cohorts for configuration in cohort.configurations):
        seeds = [run.seed for run in configuration.finished]
        repeated = sorted({str(seed) for seed in seeds if seeds.count(seed) > 1})
        if repeated:
            texts.append(
                f"{configuration.label}: seed {', '.join(repeated)} was run more than once with different"
                " results; each run counts."
            )
    return texts


def unchecked(found: Found) -> list[str]:
    """Returns one sentence that names the runs that kept no digests; none if all did."""
    paths = [str(run.path) for run in found.runs if not run.is_checked and not run.is_damaged("record.json")]
    return [f"{counted(len(paths), 'run')} {UNCHECKED}: {', '.join(paths)}."] if paths else []


def describe_cohort(cohort: Cohort) -> str:
    """Returns what the runs of a cohort share: data, split, numbers of patches, length of training."""
    run = cohort.runs[0]
    sizes = f"{run.sizes['train']:,} / {run.sizes['validation']:,} / {run.sizes['test']:,}"
    data = {
        "synthetic": "Painted patches (no tissue: a trial of the machinery)",
        "release": "Patches of a release folder",
        "download": "PanNuke as published",
    }.get(str(at(run.config, "data", "source")), "Patches of unknown source")
    if run.info.name != DATA_SET:
        data = f"{run.info.name}, patches of {run.info.patch_px} px at {run.info.microns_per_px:g} microns per pixel"
    protocol = at(run.config, "split", "protocol")
    number = "" if protocol == "paper" else f" {at(run.config, 'split', 'number')}"
    caution = " by patch at random, so that slides may be on both sides" if protocol == "paper" else ""
    has_paper = any(configuration.paper for configuration in cohort.configurations)
    papers = f" (the paper: {PROTOCOL})" if has_paper else ""
    is_reestimated = all(at(each.config, "eval", "reestimate_batch_norm") for each in cohort.runs)
    statistics = " All scores are with re-estimated batch-norm statistics." if is_reestimated else ""
    training = []
    for field in ("train.epochs", "train.tile_px", "train.batch_size", "train.lr"):
        values = [phrase(field, configuration.fields.get(field)) for configuration in cohort.configurations]
        training.append(" or ".join(dict.fromkeys(values)))
    return (
        f"{data}; {protocol} split{number}{caution}; {sizes} patches to train, validate and test. Data"
        f" `{cohort.data_digest[:_DIGEST]}`, split `{cohort.split_digest[:_DIGEST]}`. Training: {', '.join(training)}"
        f"{papers}.{statistics}"
    )


def _runs_table(cohorts: Sequence[Cohort]) -> Table:
    headers = ("run", "label", "configuration", "seed", "state", "commit", "device")
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    for each in (configuration for cohort in cohorts for configuration in cohort.configurations):
        for run in each.runs:
            row = (str(run.path), each.label, each.name, str(run.seed), run.state, run.commit, run.device)
            rows.append((*row, run.data_digest[:_DIGEST], run.split_digest[:_DIGEST]))
            exact.append((*row, run.data_digest, run.split_digest, run.command))
    caption = "Runs. A plus behind a commit: with uncommitted changes."
    csv = Csv((*headers, "data_digest", "split_digest", "command"), tuple(exact))
    return Table("runs", caption, (*headers, "data", "split"), tuple(rows), csv)


def _configurations_table(cohorts: Sequence[Cohort]) -> list[Block]:
    configurations = [configuration for cohort in cohorts for configuration in cohort.configurations]
    fields = differing_fields([each.fields for each in configurations])
    if not fields:
        return []
    caption = "Every field in which configurations differ, the network aside."
    rows = tuple(
        (each.label, *(str(each.fields.get(field, "")) for field in fields)) for each in configurations
    )
    return [Table("configurations", caption, ("configuration", *fields), rows)]
