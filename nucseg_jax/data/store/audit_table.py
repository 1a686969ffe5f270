"""The audit of a data set as lines for a terminal or a log file."""

from collections.abc import Mapping

from nucseg_jax.core.counted import counted
from nucseg_jax.data.appearance import suspicion_note
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.pieces import pieces_note
from nucseg_jax.data.store.audit import Audit, counted_classes

# More groups, such as patients, are counted and not listed.
_MOST_GROUPS = 40
_MOST_PAIRS = 5


def render(audit: Audit, info: DatasetInfo, index: PatchIndex) -> str:
    """Draws the table, and below it sentences on what deserves a second look.

    Args:
      audit: what to show.
      info, index: of the same data set.

    Returns:
      Lines, without a final newline.
    """
    nuclei = audit.totals("nuclei")
    total = sum(nuclei.values())
    lines = [
        _line("images", audit.images),
        _line("patches", audit.patches),
        _line("  without a nucleus", audit.total("empty_patches")),
    ]
    if info.has_void:
        void_px, px = audit.total("void_px"), audit.patches * info.patch_px**2
        lines.append(_line("  with pixels nobody annotated", audit.total("void_patches")))
        lines.append(_line("pixels nobody annotated", void_px, px))
    lines.append(_line("nuclei, by patch", total))
    if info.classes:
        lines += [_line(f"  {name}", nuclei[name], total) for name in info.class_names]
    lines.append(_line("nuclei in several pieces", audit.total("disconnected_nuclei")))
    for title, counts in (
        (info.group_noun, audit.totals("groups")),
        ("division", audit.totals("divisions")),
    ):
        if counts:
            lines += ["", *_by_name(title, counts)]
    return "\n".join(
        [*lines, *_paragraph(_warnings(audit, info)), *_paragraph(_near_duplicates(audit, index))]
    )


def _line(name: str, count: int, whole: int = 0) -> str:
    share = f"{count / whole:>9.1%}" if whole else ""
    return f"{name:<44}{count:>14,}{share}"


def _by_name(title: str, counts: Mapping[str, int]) -> list[str]:
    lines = [f"patches by {title}"]
    shown = sorted(counts.items())[:_MOST_GROUPS]
    lines += [_line(f"  {name}", count) for name, count in shown]
    if more := len(counts) - len(shown):
        lines.append(f"  and {more:,} more; patches.csv has them all")
    return lines


def _paragraph(sentences: list[str]) -> list[str]:
    return ["", *sentences] if sentences else []


def _warnings(audit: Audit, info: DatasetInfo) -> list[str]:
    nuclei = audit.totals("nuclei")
    total, patches = sum(nuclei.values()), audit.patches - audit.total("empty_patches")
    warnings = []
    if not total:
        warnings.append("No patch has a nucleus.")
    elif absent := [name for name in counted_classes(info) if not nuclei[name]]:
        warnings.append(f"No nucleus has the class {' or '.join(absent)}.")
    warnings.append(pieces_note(audit.total("disconnected_nuclei"), total))
    if mixed := audit.total("mixed_nuclei"):
        warnings.append(
            f"{mixed:,} of {counted(total, 'nucleus')} have pixels of several classes; they are counted by most of"
            " their pixels, and trained as they are."
        )
    bright, blue = audit.total("bright_nuclei_patches"), audit.total("blue_nuclei_patches")
    warnings.append(suspicion_note(bright, blue, patches))
    if audit.label_offsets:
        warnings += [
            f"Labels of {counted(len(audit.label_offsets), 'image')} would fit the nuclei better if they were moved;"
            " they seem to be shifted, turned or of another image:",
            *(
                f"  {name}: {_way(rows, columns)}"
                for name, (rows, columns) in list(audit.label_offsets.items())[:_MOST_PAIRS]
            ),
        ]
        if (more := len(audit.label_offsets) - _MOST_PAIRS) > 0:
            warnings.append(f"  and {more:,} more; audit.json has them all")
    return list(filter(None, warnings))


def _way(rows: int, columns: int) -> str:
    ways = ((rows, "down", "up"), (columns, "to the right", "to the left"))
    return ", ".join(f"{abs(px)} px {there if px > 0 else back}" for px, there, back in ways if px)


def _near_duplicates(audit: Audit, index: PatchIndex) -> list[str]:
    sentences = []
    pairs = audit.near_duplicates
    if pairs:
        at = {place: i for i, place in enumerate(zip(index.fold.tolist(), index.row.tolist(), strict=True))}
        named = [
            f"  {_place(index, at[fold, row])} and {_place(index, at[other_fold, other_row])}"
            for fold, row, other_fold, other_row in pairs[:_MOST_PAIRS]
        ]
        more = [f"  and {len(pairs) - len(named):,} more"] if len(pairs) > len(named) else []
        sentences += [
            f"{counted(len(pairs), 'pair')} of patches of different images look the same; they must not be on two"
            " sides of a split:",
            *named,
            *more,
        ]
    if audit.uncompared_patches:
        sentences.append(
            f"{counted(audit.uncompared_patches, 'patch')} with little contrast or a repeated texture took no part in"
            " the search for images that are there twice."
        )
    return sentences


def _place(index: PatchIndex, patch: int) -> str:
    return f"{index.image[patch]} at top {index.top[patch]}, left {index.left[patch]}"
