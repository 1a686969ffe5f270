"""Downloads published files: resumed after interruptions, checked by their published digest before use.

A file in download is called `NAME.part`, and renamed once its digest agrees. A digest
distinguishes an intact file from a damaged or exchanged one. MD5 and the first digits of a SHA-256 do not protect
against forgery, so what reads the file must not trust its content.

Without a published digest a download is resumed where the server's ETag or date still is the one that came with the
first bytes, kept in `NAME.part.version`; else it begins again. What reads such a file must check it.
"""

import dataclasses
import hashlib
import http.client
import pathlib
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

import tqdm

from nucseg_jax import __version__
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import is_full_disk, open_without_links, write_text
from nucseg_jax.core.lock import file_lock

_PIECE_BYTES = 1 << 20
_SILENCE_LIMIT_S = 60.0
# Statuses of a server that may answer later.
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
# The fewest and the most hexadecimal digits of each algorithm.
_DIGITS = {"md5": (32, 32), "sha256": (8, 64)}
_ALGORITHM_TITLES = {"md5": "MD5", "sha256": "SHA-256"}


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
      name: the file's name on disk, without a folder.
      url: its address.
      algorithm: 'md5' or 'sha256'.
      digest: lower-case hexadecimal; of SHA-256 the first 8 digits or more suffice, as some publishers give
        them in the file's name; '' = not published.

    Raises:
      ValueError: the algorithm is another, the digest is none of it, or the name is none of a file.
    """

    name: str
    url: str
    algorithm: str
    digest: str

    def __post_init__(self) -> None:
        if self.algorithm not in _DIGITS:
            raise ValueError(f"{self.name}: algorithm is {self.algorithm!r}, not one of {sorted(_DIGITS)}")
        fewest, most = _DIGITS[self.algorithm]
        if self.digest and not re.fullmatch(rf"[0-9a-f]{{{fewest},{most}}}", self.digest):
            raise ValueError(
                f"{self.name}: {self.digest!r} is not {fewest} to {most} lower-case hexadecimal digits"
            )
        if not self.name or pathlib.PurePath(self.name).name != self.name:
            raise ValueError(f"{self.name!r} is not the name of a file")

    @property
    def shown_url(self) -> str:
        """The address for people, without what follows `?`, which may hold a password."""
        return self.url.partition("?")[0]


@dataclasses.dataclass(frozen=True)
class _Words:
    """The name of a file in messages, and their advice."""

    noun: str
    by_hand: str
    elsewhere: str


def download(
    files: Sequence[RemoteFile],
    folder: pathlib.Path,
    *,
    by_hand: str,
    noun: str = "file",
    elsewhere: str = "choose another folder",
    idle_attempts: int = 5,
    first_wait_s: float = 1.0,
) -> None:
    """Downloads files to `folder / file.name`; intact ones are kept.

    An interrupted download is resumed as long as new bytes arrive; after an attempt
    without any it waits, twice as long each time. A server that cannot resume sends the file from the beginning.

    Args:
      files: to download.
      folder: made if missing.
      by_hand: the alternative to this download, a clause of advice: 'download it in a browser and give it as
        --source=FILE'.
      noun: what messages call a file: 'archive'.
      elsewhere: the way to another disk, a clause of advice: 'choose another --out'.
      idle_attempts: how many attempts in a row may end without a new byte.
      first_wait_s: seconds before the second of them.

    Raises:
      UserError: a digest is wrong; the server refuses, cannot be reached or stays silent; the disk is full; the
        folder cannot be written; or another process is downloading the same file.
    """
    words = _Words(noun, by_hand, elsewhere)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            _provide(file, folder / file.name, words, idle_attempts, first_wait_s)
    except OSError as error:
        if is_full_disk(error):
            raise _disk_full(folder, "no file could be made in it", words) from error
        raise UserError(
            f"{error.filename or folder} cannot be used: {error.strerror or error}.",
            expected="a folder that you may write to",
            advice=elsewhere,
        ) from error


def _provide(
    file: RemoteFile, target: pathlib.Path, words: _Words, idle_attempts: int, first_wait_s: float
) -> None:
    """Ensures that the target exists and is intact."""
    if target.exists():
        _check(target, file, words)
        return
    part = target.with_name(f"{target.name}.part")
    # Two that append to one part would spoil it for both.
    with file_lock(
        target.with_name(f".{target.name}.lock"),
        busy=f"another process is downloading {target}",
        advice=f"wait until it has ended, or {words.elsewhere}",
    ):
        was_resumed = part.exists()
        _fetch(file, part, words, idle_attempts, first_wait_s)
        if was_resumed and not _agrees(_digest(part, file.algorithm), file):
            # What lay there may be of another file; that is no reason to give up.
            part.unlink()
            _fetch(file, part, words, idle_attempts, first_wait_s)
        _check(part, file, words)
        part.replace(target)
        _version_path(part).unlink(missing_ok=True)


def _fetch(
    file: RemoteFile, part: pathlib.Path, words: _Words, idle_attempts: int, first_wait_s: float
) -> None:
    """Repeats `_fetch_once` until the file is complete."""
    idle = 0
    while True:
        size_before = _size(part)
        try:
            if _fetch_once(file, part, words):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING_STATUS:
                raise UserError(
                    f"{file.shown_url} answered {error.code} {error.reason}.",
                    expected=f"the {words.noun}",
                    advice=words.by_hand,
                ) from error
            reason = f"the server answered {error.code} {error.reason}"
        except (http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError):
                if is_full_disk(error):
                    found = f"after {_size(part):,} bytes of {file.shown_url}"
                    raise _disk_full(part.parent, found, words) from error
                if error.filename is not None:  # Of a file here, not of the connection: no use to repeat.
                    raise
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        idle = 0 if _size(part) > size_before else idle + 1
        if idle >= idle_attempts:
            raise UserError(
                f"{file.shown_url} could not be downloaded: {reason} ({counted(idle, 'attempt')} without a new byte).",
                expected=f"the {words.noun}",
                advice=f"try again later{_what_stays(part)}; or {words.by_hand}",
            )
        time.sleep(first_wait_s * 2**idle)


def _fetch_once(file: RemoteFile, part: pathlib.Path, words: _Words) -> bool:
    """Requests what is missing and appends it; returns True if the file is complete."""
    have = _size(part)
    request = urllib.request.Request(file.url, headers={"User-Agent": f"nucseg_jax/{__version__}"})
    if have and not file.digest:
        version = _version_of(part)
        if version:
            request.add_header("If-Range", version)
        else:
            have = 0
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_SILENCE_LIMIT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing follows what is here: it is complete, or longer than the file and useless.
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
        if starts_over and not file.digest:
            write_text(_version_path(part), _version(response.headers))
        coming = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        free = shutil.disk_usage(part.parent).free + (_size(part) if starts_over else 0)
        if coming is not None and coming > free:
            found = f"{coming:,} bytes of {file.name} are missing, {free:,} are free"
            raise _disk_full(part.parent, found, words)
        with (
            open(part, "wb" if starts_over else "ab", opener=open_without_links) as opened,
            tqdm.tqdm(
                desc=file.name,
                initial=have,
                total=None if coming is None else have + coming,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                disable=None,
            ) as bar,
        ):
            while piece := response.read1(_PIECE_BYTES):
                opened.write(piece)
                bar.update(len(piece))
    return coming is None or _size(part) == have + coming


def _version(headers: Mapping[str, str]) -> str:
    """Returns what tells a server which version of a file is meant; '' where it gives nothing of the kind."""
    etag = headers.get("ETag", "")
    # A weak one stands for files that need not be equal byte for byte.
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _version_path(part: pathlib.Path) -> pathlib.Path:
    return part.with_name(f"{part.name}.version")


def _version_of(part: pathlib.Path) -> str:
    """Returns the version that a part is of, in one line of ASCII; '' where it is not known."""
    try:
        version = _version_path(part).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return version if version.isprintable() else ""


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _total_bytes(content_range: str | None) -> int | None:
    """Returns the total of `bytes 5-9/10` or `bytes */10`."""
    total = (content_range or "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _continues_at(have: int, content_range: str | None) -> bool:
    return (content_range or "").removeprefix("bytes ").partition("-")[0] == str(have)


def _digest(path: pathlib.Path, algorithm: str) -> str:
    with path.open("rb") as opened:
        # Some systems refuse MD5 where it is meant to keep a secret.
        return hashlib.file_digest(opened, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _agrees(digest: str, file: RemoteFile) -> bool:
    return digest.startswith(file.digest)


def _check(path: pathlib.Path, file: RemoteFile, words: _Words) -> None:
    """Sets a file with another digest aside, so that the next run downloads it again."""
    found = _digest(path, file.algorithm)
    if not _agrees(found, file):
        aside = path.with_name(f"{file.name}.wrong")
        path.replace(aside)
        title = _ALGORITHM_TITLES[file.algorithm]
        is_whole = len(file.digest) == len(found)
        raise UserError(
            f"{file.name} from {file.shown_url} has the {title} {found}. It was not used; it is {aside} now.",
            expected=f"{title} {file.digest}" if is_whole else f"a {title} that begins with {file.digest}",
            advice=f"remove it and rerun the same command; if the result is the same, {words.by_hand}",
        )


def _what_stays(part: pathlib.Path) -> str:
    return f", which resumes from {part}" if _size(part) else ""


def _disk_full(folder: pathlib.Path, found: str, words: _Words) -> UserError:
    return UserError(
        f"The disk of {folder} is full: {found}.",
        expected=f"room for the {words.noun}",
        advice=f"free some space, or {words.elsewhere}, and rerun the same command",
    )
