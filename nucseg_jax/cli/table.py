"""Tables in plain text, for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.instances.instance_metrics import METRICS
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.evaluation.scores import OTHER_STATISTICS, UNGROUPED, is_loss

COLUMNS = ("dice", "iou", "accuracy", "sensitivity", "precision", "specificity")
UNDEFINED = "-"


def render(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An aligned table: a line of headers, a rule, the rows; no newline at the end.

    A column of numbers stands to the right, any other to the left.

    Args:
      headers: one a column.
      rows: each as long as `headers`, or empty for a blank line. Cells are shown by `str`, None as "-".

    Raises:
      ValueError: a row of another length.

    >>> print(render(("fold", "patches"), [("1", 2656), ("2", 2523)]))
    fold  patches
    -------------
       1     2656
       2     2523
    """
    for row in rows:
        if row and len(row) != len(headers):
            raise ValueError(f"row {tuple(row)} has {len(row)} cells; there are {len(headers)} headers")
    texts = [[UNDEFINED if cell is None else str(cell) for cell in row] for row in rows]
    columns = [[text[number] for text in texts if text] for number in range(len(headers))]
    widths = [max(map(len, (header, *cells))) for header, cells in zip(headers, columns, strict=True)]
    signs = [">" if _are_numbers(cells) else "<" for cells in columns]
    template = "  ".join("{:" + sign + str(width) + "}" for sign, width in zip(signs, widths, strict=True))
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [template.format(*text).rstrip() if text else "" for text in texts]
    return "\n".join([template.format(*headers).rstrip(), rule, *lines])


def results_table(
    results: Mapping[str, Mapping[str, Any]],
    baselines: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    *,
    group_noun: str,
    losses: bool = True,
) -> str:
    """Returns the scores of a run by split and convention, and its losses, 100 columns wide at most.

    Args:
      results: as in `results.json`, {split: {convention: {metric: value or None}, loss, dice_loss,
        l2_penalty}}; what is missing is left out. Of scores with other batch-norm statistics (`OTHER_STATISTICS`)
        `micro` is shown.
      baselines: {name: {split: {convention: {metric: value or None}}}}; each is shown under its split.
      group_noun: the data set's word for a group, which names the convention over groups.
      losses: whether to show the losses too.
    """
    blocks = []
    for split, of_split in results.items():
        block = _score_rows(split, of_split, group_noun)
        for key, name in OTHER_STATISTICS.items():
            micro = of_split.get(key, {}).get("micro")
            block += _score_rows(f"  {name}", {"micro": micro} if micro else {}, group_noun)
        for name, of_name in (baselines or {}).items():
            block += _score_rows(f"  {name}", of_name.get(split, {}), group_noun)
        if block:
            blocks.append(block)
    separated = [row for block in blocks for row in (*block, ())][:-1]
    tables = [render(("split", "convention", *COLUMNS), separated)] if blocks else []
    terms = list(dict.fromkeys(key for of_split in results.values() for key in of_split if is_loss(key)))
    if terms and losses:
        rows = [
            (split, *(_decimal(of_split.get(term)) for term in terms)) for split, of_split in results.items()
        ]
        tables.append(render(("split", *terms), rows))
    return "\n\n".join(tables)


def instance_table(entry: Mapping[str, Any], info: DatasetInfo) -> str:
    """Returns the scores of nuclei in each average, and the panoptic quality of each class.

    Args:
      entry: "instances" of a split's entry of results.json.
      info: of the data set, which names averages and classes.
    """
    names = averages(info)
    metrics = [name for name in METRICS if any(name in entry[average] for average in names)]
    rows = [
        (METRICS[name].title, *(_decimal(entry[average].get(name)) for average in names)) for name in metrics
    ]
    tables = [render(("nuclei", *names), rows)]
    if "classes" in entry:
        classes = [
            (name, *(_decimal(of_class[average].get("pq")) for average in names))
            for name, of_class in entry["classes"].items()
        ]
        tables.append(render(("PQ of class", *names), classes))
    counts = entry["nuclei"]
    return "\n\n".join([*tables, f"{counts['truth']:,} nuclei annotated, {counts['predicted']:,} predicted"])


def _score_rows(name: str, of_split: Mapping[str, Any], group_noun: str) -> list[tuple[str, ...]]:
    rows = []
    for convention in (*UNGROUPED, group_noun):
        if convention not in of_split:
            continue
        metrics = of_split[convention]
        rows.append((convention, *(_decimal(metrics.get(column)) for column in COLUMNS)))
        deviations = [metrics.get(f"{column}_std") for column in COLUMNS]
        if any(deviation is not None for deviation in deviations):
            rows.append(("  std", *map(_decimal, deviations)))
    # The name stands at its first row only.
    return [(name if number == 0 else "", *row) for number, row in enumerate(rows)]


def _decimal(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"


def _are_numbers(cells: Sequence[str]) -> bool:
    shown = [cell for cell in cells if cell not in ("", UNDEFINED)]
    return all(_is_number(cell) for cell in shown)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").removesuffix("%"))
    except ValueError:
        return False
    return True
