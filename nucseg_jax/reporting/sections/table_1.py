"""Table 1: what the models are, counted here, beside what the paper says."""

from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.reporting.page.document import UNDEFINED, Block, Heading, Numbers, Table
from nucseg_jax.reporting.reading.paper import CITATION, PAPER_MODELS


def table_1_blocks(facts: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The table.

    Args:
      facts: one a network, as `describe --json` prints them, with a `name`, a `source` (the config they were
        computed from), that `config` itself, and `is_paper`, whether it is the paper's network layer for layer.
    """
    shown, numbers = [], []
    for row in facts:
        paper = next(
            (
                model
                for model in PAPER_MODELS
                if row["is_paper"] and (model.decoder, model.encoder) == (row["decoder"], row["encoder"])
            ),
            None,
        )
        shown.append(
            (
                row["name"],
                f"{paper.parameters:,}" if paper else UNDEFINED,
                f"{row['parameters_total']:,}",
                f"{paper.size_mb:.2f}" if paper else UNDEFINED,
                f"{row['size_mb']:.2f}",
                f"{paper.dropout:g}" if paper else UNDEFINED,
                f"{row['dropout']:g}",
                f"{paper.l2:g}" if paper else UNDEFINED,
                f"{row['l2']:g}",
                f"{row['flops_forward'] / 1e9:.1f}",
            )
        )
        for field in ("parameters_total", "size_mb", "dropout", "l2", "flops_forward"):
            numbers.append((row["name"], row["source"], "describe", field, row[field]))
        if paper:
            of_paper = (paper.parameters, paper.size_mb, paper.dropout, paper.l2)
            for field, value in zip(("parameters_total", "size_mb", "dropout", "l2"), of_paper, strict=True):
                numbers.append((row["name"], f"{CITATION}, Table 1", "paper", field, value))
    return [
        Heading("Table 1: the models"),
        Table(
            "table_1",
            "Parameters as Keras counts them, moving statistics included; 4 bytes each, in units of 2^20 bytes;"
            " arithmetic of the convolutions for one 256 px image, 2 operations a multiply-add. The paper's"
            " number stands to the left of ours. Dropout and L2 are those of the config named in the CSV file.",
            (
                "model",
                "parameters, paper",
                "ours",
                "MB, paper",
                "ours",
                "dropout, paper",
                "ours",
                "L2, paper",
                "ours",
                "forward GFLOP",
            ),
            tuple(shown),
            Numbers(("model", "source", "by", "field", "value"), tuple(numbers)),
        ),
    ]
