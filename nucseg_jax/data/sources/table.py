"""Every source there is, one row each: a new public data set is one file and a row here."""

from collections.abc import Callable, Mapping
from typing import Any

from nucseg_jax.data.sources.patch import OpenedSource

# Takes the settings that `prepare` is given, a `DataSource`; finds and checks the files before it returns.
Open = Callable[[Any], OpenedSource]


def _open_folder(source: Any) -> OpenedSource:
    from nucseg_jax.data.sources.folder.source import (
        open_folder,  # Its image readers take a second to import.
    )

    return open_folder(source)


def _open_consep(source: Any) -> OpenedSource:
    from nucseg_jax.data.sources.consep import open_consep

    return open_consep(source)


def _open_monuseg(source: Any) -> OpenedSource:
    from nucseg_jax.data.sources.monuseg import open_monuseg

    return open_monuseg(source)


# None: a release of PanNuke, fetched, given or painted, which has a builder of its own.
SOURCES: Mapping[str, Open | None] = {
    "download": None,
    "release": None,
    "synthetic": None,
    "folder": _open_folder,
    "consep": _open_consep,
    "monuseg": _open_monuseg,
}
