"""`launch.py convert`: ImageNet weights of another framework to a checkpoint that `pretrained.path` takes."""

import pathlib
from collections.abc import Callable

from nucseg_jax.core.counted import counted
from nucseg_jax.core.download import download
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.models.build import build_encoder
from nucseg_jax.pretrained import convert as conversion
from nucseg_jax.pretrained import official
from nucseg_jax.pretrained.report import Report
from nucseg_jax.pretrained.target import FRAMEWORK_TITLES, stages_of, target_of
from nucseg_jax.pretrained.torch_pickle import require_torch
from nucseg_jax.reporting.reading.paper import PAPER_MODELS

DOWNLOAD = "download"
_DOWNLOADS = "downloads"
# More names of a kind than this become a number.
_LISTED = 4


def convert(encoder: str, source: str, out: pathlib.Path) -> None:
    """Converts weights, or prints that they were converted before.

    The checkpoint is written atomically.

    Args:
      encoder: a key of `models.build.ENCODERS`.
      source: a file, or 'download' for the official one.
      out: the folder to be written.

    Raises:
      UserError: the source is at fault, `out` holds something else, or `out` cannot be written.
    """
    target = target_of(encoder)
    url = official.OFFICIAL_FILES[encoder].url if source == DOWNLOAD else ""
    file = pathlib.Path(source)
    if not url:
        _require_file(file)
    report = conversion.converted_before(encoder, out, source=file, url=url)
    if report is not None:
        print(f"{out} was already converted from this source; nothing to do.\n")
    else:
        if url:
            file = _downloaded(encoder, out)
        report = conversion.convert(target, file, out, url=url)
    print(_account(report))
    print(f"Checkpoint: {out}\nReport:     {out / 'report.json'} (every name)")
    print(
        f"Next:       {PROGRAM} train {_config_flags(encoder)}"
        f" --config.pretrained.path={out} --workdir=runs/first"
    )


def _config_flags(encoder: str) -> str:
    """Returns the flags of a config with this encoder: one of the paper's models where it has the encoder.

    >>> _config_flags("resnet50"), _config_flags("convnext_tiny")
    ('--config=unet_resnet50', '--config=base --config.model.encoder=convnext_tiny')
    """
    named = next((paper.config for paper in PAPER_MODELS if paper.encoder == encoder), None)
    if named is not None:
        return f"--config={pathlib.PurePath(named).stem}"
    return f"--config=base --config.model.encoder={encoder}"


def _require_file(file: pathlib.Path) -> None:
    if not file.exists():
        raise UserError(
            f"--source is {file}, which does not exist.",
            expected=f"a file of weights, or `{DOWNLOAD}` for the official one",
        )


def _downloaded(encoder: str, out: pathlib.Path) -> pathlib.Path:
    """Downloads the official file of an encoder and checks its published digest."""
    remote = official.OFFICIAL_FILES[encoder]
    if remote.name.endswith(".pth"):
        require_torch(remote.name)  # Before 100 MB are fetched.
    folder = out.parent / _DOWNLOADS
    print(f"Downloading {remote.url} to {folder}.")
    download(
        [remote],
        folder,
        by_hand="download it in a browser and name it with --source=FILE",
        elsewhere="choose another --out",
    )
    return folder / remote.name


def _account(report: Report) -> str:
    """Returns a summary of a conversion: the source, the converted layers, and those without weights."""
    source, preprocessing = report.source, report.preprocessing
    whole = build_encoder(report.encoder, extent="whole")
    extent = "the whole encoder" if report.extent == "whole" else "as far as the paper's models use it"
    rows = [
        (
            "Source",
            f"{source.name}, {source.kind}, {counted(source.size_bytes, 'byte')}, SHA-256 {source.sha256[:12]}...",
        ),
        (
            "Encoder",
            f"{report.encoder} of {FRAMEWORK_TITLES[source.framework]}, {extent}:"  # type: ignore[index]
            f" {counted(report.values, 'value')} in {counted(len(report.mapped), 'array')}",
        ),
        (
            "Input",
            f"{preprocessing.channel_order} / {preprocessing.divisor:g}, mean {_numbers(preprocessing.mean)},"
            f" deviation {_numbers(preprocessing.standard_deviation)}",
        ),
        ("Changed", "; ".join(report.conversions) or "nothing"),
        ("Not used", _counted(report.not_used, lambda name: name.rpartition(".")[2]) or "nothing"),
        (
            "From scratch",
            _counted(
                report.stays_at_initialisation, lambda layer: f"layers of {stages_of([layer], whole)[0]}"
            ),
        ),
    ]
    rows += [("Note", note) for note in report.notes]
    width = max(len(title) for title, _ in rows)
    return "\n".join(f"{title:<{width}}  {text}" for title, text in rows) + "\n"


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _counted(names: tuple[str, ...], kind: Callable[[str], str]) -> str:
    """Describes names by kind: each name, or their count where a kind has many."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(kind(name), []).append(name)
    return ", ".join(
        text
        for key, members in kinds.items()
        for text in (members if len(members) <= _LISTED else [f"{key} ({len(members):,})"])
    )
