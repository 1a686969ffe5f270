"""The audit of a data set as a table for a terminal, beside PanNuke's published figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.data.appearance import suspicion_note
from nucseg_jax.data.pieces import pieces_note
from nucseg_jax.data.sources.pannuke import facts, repeats, vocabulary
from nucseg_jax.data.sources.pannuke.audit import NO_CLASSES, Audit, FoldAudit

_DIFFERS = "≠"


class _Row(NamedTuple):
    """A line of the table; `values` are those of the folds and the total, None where nobody counted."""

    name: str
    values: Sequence[int | None]
    published: int | None = None
    published_folds: Sequence[int] | None = None
    is_official: bool = True  # Stated by the data set's authors, so that a difference is one.

    @property
    def compared(self) -> list[tuple[int | None, int | None]]:
        """Each value with what it should be: itself, where nothing official is known."""
        published = list(self.values)
        if self.is_official and self.published_folds is not None:
            published[:-1] = self.published_folds
        if self.is_official and self.published is not None:
            published[-1] = self.published
        return list(zip(self.values, published, strict=True))


def render(audit: Audit) -> str:
    """Draws the table.

    A figure that differs from a published one is marked only where the data set has the size of PanNuke; for
    any other the published column is there for orientation.

    Args:
      audit: what to show.

    Returns:
      Lines of at most 100 characters, without a final newline.
    """
    is_full_size = audit.patches == sum(facts.PATCHES_BY_FOLD.values())
    tissues = _tissues(audit)
    shown_tissues = [row for row in tissues if row.values[-1] or is_full_size]
    columns = [*(f"fold {number}" for number in sorted(audit.folds)), "all"]
    lines = [_line("", columns, "PanNuke")]
    lines.append("-" * len(lines[0]))
    differences: list[str] = []
    for block in (_counts(audit), _oddities(audit), shown_tissues):
        for row in block:
            differs = [is_full_size and found != published for found, published in row.compared]
            cells = [
                "-" if value is None else f"{value:,}{_DIFFERS * mark}"
                for value, mark in zip(row.values, differs, strict=True)
            ]
            lines.append(_line(row.name, cells, "-" if row.published is None else f"{row.published:,}"))
            differences += [
                f"  {row.name.strip()}, {column}: {found:,}, published {published:,}"
                for column, (found, published), is_different in zip(
                    columns, row.compared, differs, strict=True
                )
                if is_different
            ]
        lines.append("")
    if differences:
        differ = "differs" if len(differences) == 1 else "differ"
        found = f"{counted(len(differences), 'figure')} {differ} from the published ones:"
        lines += [f"{_DIFFERS} {found}", *differences]
    elif is_full_size:
        lines.append("Every official figure agrees with the published one.")
    else:
        if absent := len(tissues) - len(shown_tissues):
            lines.append(f"No patch of the other {counted(absent, 'tissue')}.")
        lines.append("The last column is PanNuke's, for orientation: this set is not of its size.")
    return "\n".join([*lines, *_notes(audit)])


def _notes(audit: Audit) -> list[str]:
    """Sentences on what a count alone does not tell."""
    notes = []
    if any(fold.shared_patches is None for fold in audit.folds.values()):
        notes.append(
            "Prepared by an earlier version, which did not look for identical patches or other orders of channels:"
            " remove it and prepare it again."
        )
    pairs = [
        (repeats.Place(*first), repeats.Place(*later))
        for _, fold in sorted(audit.folds.items())
        for first, later in fold.repeats
    ]
    within = [pair for pair in pairs if pair[0].fold == pair[1].fold]
    across = [pair for pair in pairs if pair[0].fold != pair[1].fold]
    if within:
        count = sum(fold.repeated_patches or 0 for fold in audit.folds.values())
        notes.append(
            f"Identical patches within a fold: {repeats.describe(within, count)}. They weigh double; with"
            " split.protocol=paper they may be trained and tested on."
        )
    if across:
        count = sum(fold.shared_patches or 0 for fold in audit.folds.values())
        notes.append(
            f"Identical patches in two folds: {repeats.describe(across, count)}. A model is tested on what it was"
            " trained on."
        )
    nuclei = sum(sum(fold.nuclei.values()) for fold in audit.folds.values())
    broken = sum(fold.disconnected_nuclei for fold in audit.folds.values())
    notes.append(pieces_note(broken, nuclei))
    for number, fold in sorted(audit.folds.items()):
        if fold.empty_patches == fold.patches:
            notes.append(f"Fold {number} has no nucleus.")
        bright, blue = fold.bright_nuclei_patches or 0, fold.blue_nuclei_patches or 0
        where = f" of fold {number}"
        notes.append(suspicion_note(bright, blue, fold.patches - fold.empty_patches, where))
    if not audit.has_classes:
        notes.append("All nuclei lie in the first channel of the masks: they have no classes.")
    return list(filter(None, notes))


def _line(name: str, cells: Sequence[str], published: str) -> str:
    return f"{name:<30}" + "".join(f"{cell:>10}" for cell in cells) + f"  |{published:>9}"


def _row(
    audit: Audit, name: str, count: Callable[[FoldAudit], int | None], published: int | None = None
) -> _Row:
    folds = [count(fold) for _, fold in sorted(audit.folds.items())]
    known = [value for value in folds if value is not None]
    return _Row(name, [*folds, sum(known) if len(known) == len(folds) else None], published)


def _with_folds(row: _Row, published: Mapping[int, int]) -> _Row:
    return row._replace(published=sum(published.values()), published_folds=list(published.values()))


def _counts(audit: Audit) -> list[_Row]:
    return [
        _with_folds(_row(audit, "patches", lambda fold: fold.patches), facts.PATCHES_BY_FOLD),
        _with_folds(
            _row(audit, "  without a nucleus", lambda fold: fold.empty_patches), facts.EMPTY_PATCHES_BY_FOLD
        ),
        _with_folds(_row(audit, "nuclei", lambda fold: sum(fold.nuclei.values())), facts.NUCLEI_BY_FOLD),
        *(
            _row(
                audit,
                f"  {name}",
                lambda fold, name=name: fold.nuclei[name],  # type: ignore[misc]
                facts.NUCLEI_BY_CLASS.get(name),
            )
            for name in (vocabulary.NUCLEUS_CLASSES if audit.has_classes else (NO_CLASSES,))
        ),
    ]


def _oddities(audit: Audit) -> list[_Row]:
    largest = _row(audit, "largest id in the masks", lambda fold: fold.largest_id, facts.LARGEST_ID)
    rows = [
        _row(audit, "patches with void pixels", lambda fold: fold.void_patches, facts.VOID_PATCHES),
        _row(audit, "  void pixels", lambda fold: fold.void_px),
        _row(audit, "patches with class overlaps", lambda fold: fold.overlap_patches, facts.OVERLAP_PATCHES),
        _row(audit, "  pixels of two classes", lambda fold: fold.overlap_px),
        _row(audit, "nuclei wholly hidden", lambda fold: fold.hidden_nuclei),
        _row(
            audit,
            "nuclei in several pieces",
            lambda fold: fold.disconnected_nuclei,
            facts.DISCONNECTED_NUCLEI,
        ),
        largest._replace(
            values=[*largest.values[:-1], max(fold.largest_id for fold in audit.folds.values())]
        ),
        _row(audit, "patches, nuclei on background", lambda fold: fold.background_overlap_patches),
        _row(audit, "  pixels of both", lambda fold: fold.background_overlap_px),
        _row(audit, "patches twice in their fold", lambda fold: fold.repeated_patches),
        _row(audit, "patches of another fold", lambda fold: fold.shared_patches),
    ]
    return [row._replace(is_official=False) for row in rows]


def _tissues(audit: Audit) -> list[_Row]:
    return [
        _row(audit, name, lambda fold, name=name: fold.tissues[name], facts.PATCHES_BY_TISSUE[name])  # type: ignore[misc]
        for name in vocabulary.TISSUES
    ]
