r"""Leave one group out: each group of the prepared data set (patient, slide, tissue) tests once.

    python launch.py train --config=configs/folder.py --sweep=configs/sweeps/groups.py --executor=local \
        --workdir=runs/groups

The group after it in the order of names validates, all others train. Cost: a run of the config for each group (19 on
PanNuke's tissues). Not measured here.
"""


def rows_of(groups: list[str]) -> list[dict]:
    """A row for each group, in the order of names."""
    return [
        {
            "label": f"{number:02}_{_folder_name(group)}",
            "overrides": {"split.protocol": "k_fold", "split.folds": 0, "split.number": number},
        }
        for number, group in enumerate(groups, 1)
    ]


def _folder_name(group: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in group)
