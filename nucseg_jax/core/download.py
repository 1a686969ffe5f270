"""Downloads the archives of PanNuke: resumed where they stopped, checked by SHA-256 before use.

A file that is being fetched is called `fold_1.zip.part`; it gets its own name only once its checksum agrees.
"""

import errno
import hashlib
import http.client
import pathlib
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

import tqdm

from nucseg_jax import __version__
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.pannuke.facts import Archive

_PIECE_BYTES = 1 << 20
_SILENCE_LIMIT_S = 60
# What a server says when it is the wrong moment, not the wrong question.
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_BY_HAND = (
    "download the archives in a browser and use --config.data.source=release --config.data.release_dir=FOLDER"
)


def download(
    archives: Sequence[Archive], folder: pathlib.Path, *, idle_attempts: int = 5, first_wait_s: float = 1.0
) -> None:
    """Fetches archives into a folder; those that are there and right are left as they are.

    A connection that breaks is taken up again where it stopped, as long as new bytes arrive; after an attempt
    that brought none there is a wait, which doubles. A server that cannot resume is asked from the beginning.

    Args:
      archives: what to fetch.
      folder: where to; made if it is not there.
      idle_attempts: how many attempts in a row may end without a new byte.
      first_wait_s: seconds before the second of them.

    Raises:
      UserError: a checksum is wrong, the server refuses, cannot be reached or stays silent, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        target = folder / archive.name
        if target.exists():
            _check(target, archive)
            continue
        part = target.with_name(f"{target.name}.part")
        was_resumed = part.exists()
        _fetch(archive, part, idle_attempts, first_wait_s)
        if was_resumed and _sha256(part) != archive.sha256:
            # What lay there may be of another file; that is no reason to give up.
            part.unlink()
            _fetch(archive, part, idle_attempts, first_wait_s)
        _check(part, archive)
        part.replace(target)


def _fetch(archive: Archive, part: pathlib.Path, idle_attempts: int, first_wait_s: float) -> None:
    """Repeats `_fetch_once` until the file is whole."""
    idle = 0
    while True:
        size_before = _size(part)
        try:
            if _fetch_once(archive, part):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING_STATUS:
                raise UserError(
                    f"{archive.url} answered {error.code} {error.reason}.",
                    expected="the archive",
                    advice=_BY_HAND,
                ) from error
            reason = f"the server answered {error.code} {error.reason}"
        except (http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise _disk_full(part, f"after {_size(part):,} bytes of {archive.url}") from error
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        idle = 0 if _size(part) > size_before else idle + 1
        if idle >= idle_attempts:
            raise UserError(
                f"{archive.url} could not be fetched: {reason} ({idle} attempts without a new byte).",
                expected="the archive",
                advice=f"try again later: what has arrived is in {part} and is resumed; or {_BY_HAND}",
            )
        time.sleep(first_wait_s * 2**idle)


def _fetch_once(archive: Archive, part: pathlib.Path) -> bool:
    """Asks for what is missing and appends it; tells whether the file is whole now."""
    have = _size(part)
    request = urllib.request.Request(archive.url, headers={"User-Agent": f"nucseg_jax/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_SILENCE_LIMIT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing lies beyond what is here: it is whole, or longer than the archive and of no use.
        if _total_bytes(error.headers.get("Content-Range")) == have:
            return True
        part.unlink()
        return False
    with response:
        starts_over = response.status != http.client.PARTIAL_CONTENT
        if not starts_over and not _continues_at(have, response.headers.get("Content-Range")):
            part.unlink()
            return False
        have = 0 if starts_over else have
        coming = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        free = shutil.disk_usage(part.parent).free + (_size(part) if starts_over else 0)
        if coming is not None and coming > free:
            raise _disk_full(part, f"{coming:,} bytes of {archive.name} are still to come, {free:,} are free")
        with (
            part.open("wb" if starts_over else "ab") as file,
            tqdm.tqdm(
                desc=archive.name,
                initial=have,
                total=None if coming is None else have + coming,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
            ) as bar,
        ):
            while piece := response.read1(_PIECE_BYTES):
                file.write(piece)
                bar.update(len(piece))
    return coming is None or _size(part) == have + coming


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _total_bytes(content_range: str | None) -> int | None:
    """The total of `bytes 5-9/10` or `bytes */10`."""
    total = (content_range or "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _continues_at(have: int, content_range: str | None) -> bool:
    return (content_range or "").removeprefix("bytes ").partition("-")[0] == str(have)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: pathlib.Path, archive: Archive) -> None:
    """Sets a file with another checksum aside, so that the next run fetches it anew."""
    found = _sha256(path)
    if found != archive.sha256:
        aside = path.with_name(f"{archive.name}.wrong")
        path.replace(aside)
        raise UserError(
            f"{archive.name} from {archive.url} has the SHA-256 {found}. It was not used; it is {aside} now.",
            expected=f"SHA-256 {archive.sha256}",
            advice=f"remove it and run the same command again; if it comes out the same, {_BY_HAND}",
        )


def _disk_full(part: pathlib.Path, found: str) -> UserError:
    return UserError(
        f"The disk of {part.parent} is full: {found}.",
        expected="room for the archive",
        advice="free some space, or choose another --config.data.dir, and run the same command again",
    )
