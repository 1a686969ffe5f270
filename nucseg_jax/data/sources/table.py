"""Every source there is, one row each: a new public data set is one file and a row here."""

from collections.abc import Callable, Mapping

from nucseg_jax.config.data import DataConfig
from nucseg_jax.data.sources.patch import OpenedSource

# Finds and checks the files before it returns.
Open = Callable[[DataConfig], OpenedSource]


def _open_folder(source: DataConfig) -> OpenedSource:
    # In here, since readers of images take a second to import.
    from nucseg_jax.data.sources.folder.source import open_folder

    return open_folder(source)


def _open_consep(source: DataConfig) -> OpenedSource:
    from nucseg_jax.data.sources.consep import open_consep

    return open_consep(source)


def _open_monuseg(source: DataConfig) -> OpenedSource:
    from nucseg_jax.data.sources.monuseg import open_monuseg

    return open_monuseg(source)


# None: a release of PanNuke, downloaded, given or synthetic, which has its own builder.
SOURCES: Mapping[str, Open | None] = {
    "download": None,
    "release": None,
    "synthetic": None,
    "folder": _open_folder,
    "consep": _open_consep,
    "monuseg": _open_monuseg,
}
