"""Packed models by URL: downloaded once, kept in the user's cache, compared with their digest whenever they are used.

    https://HOST/PATH/NAME.zip                      its SHA-256 is printed, so that it can be added:
    https://HOST/PATH/NAME.zip#sha256=64 DIGITS     a file with another digest is refused
    hf://OWNER/REPOSITORY/PATH/NAME.zip@REVISION    of the Hugging Face hub, by its own library and in its own cache

What lies at a URL is taken to stay the same: a file in the cache is used without asking the server.
"""

import hashlib
import pathlib
import re
import sys
import urllib.parse
from typing import NamedTuple

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.files import write_json
from nucseg_jax.core.paths import cache_home
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import read_json

_HUB = "hf"
_SCHEMES = ("https", "http", _HUB)
_EXPECTED = "https://HOST/PATH/NAME.zip or hf://OWNER/REPOSITORY/PATH/NAME.zip@REVISION"
_RECORD = "download.json"
_LONGEST_NAME = 100


class ModelUrl(NamedTuple):
    """A URL of a packed model.

    Attributes:
      address: without the digest.
      digest: SHA-256 that the file must have, 64 digits; '' = not stated.
      name: the address for people, without what follows `?`, which may hold a password.
      file: name of the file on disk.
    """

    address: str
    digest: str
    name: str
    file: str

    @property
    def is_of_hub(self) -> bool:
        """True for `hf://`."""
        return self.address.startswith(f"{_HUB}://")


class HubFile(NamedTuple):
    """A file of the Hugging Face hub."""

    repository: str
    file: str
    revision: str


def is_url(text: str) -> bool:
    """Returns True for a text that is meant as a URL.

    >>> is_url("hf://a/b/c.zip"), is_url("models/small"), is_url("file:///a")
    (True, False, True)
    """
    return "://" in text


def parse_url(text: str) -> ModelUrl:
    """Takes a URL apart; asks no server.

    Raises:
      UserError: another scheme, no host or file, a user or password, or another fragment than a digest.

    >>> parse_url("https://a.org/b/c.zip?token=1").name
    'https://a.org/b/c.zip'
    """
    address, _, fragment = text.partition("#")
    try:
        parts = urllib.parse.urlsplit(address)
        host = parts.hostname
    except ValueError:
        parts, host = urllib.parse.urlsplit(""), None
    shown = address.partition("?")[0]
    if parts.scheme.lower() not in _SCHEMES:
        raise UserError(f"{shown} is no URL of a model", expected=_EXPECTED)
    if parts.username is not None or parts.password is not None:
        # Not to be repeated in a message.
        raise UserError("a URL of a model holds a user or a password", expected=_EXPECTED)
    last = urllib.parse.unquote(parts.path.rpartition("/")[2])
    if not host or not last.strip("."):
        raise UserError(f"{shown} names no file", expected=_EXPECTED)
    digest = fragment.removeprefix("sha256=").lower()
    if fragment and not (fragment.startswith("sha256=") and re.fullmatch("[0-9a-f]{64}", digest)):
        raise UserError(
            f"what follows # in {shown}#{fragment} is no SHA-256",
            expected="#sha256= and 64 hexadecimal digits",
        )
    if parts.scheme == _HUB:
        hub_file(address)
    file = re.sub(r"[^\w.-]", "_", last, flags=re.ASCII).lstrip(".")[-_LONGEST_NAME:]
    return ModelUrl(address, digest, shown, file or "model.zip")


def hub_file(address: str) -> HubFile:
    """Takes an address of the hub apart; without a revision it is that of `main`.

    Raises:
      UserError: it has no owner, repository or file.

    >>> hub_file("hf://me/nuclei/models/a.zip@refs/pr/1")
    HubFile(repository='me/nuclei', file='models/a.zip', revision='refs/pr/1')
    """
    path, _, revision = address.removeprefix(f"{_HUB}://").partition("@")
    owner, _, rest = path.partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file) or "?" in address:
        raise UserError(f"{address} names no file of the hub", expected=_EXPECTED)
    return HubFile(f"{owner}/{repository}", file, revision or "main")


def fetch_model(url: ModelUrl) -> pathlib.Path:
    """Returns the file at a URL, downloaded where it is not in the cache.

    Raises:
      UserError: it cannot be downloaded, is no packed model, has another digest than the URL states, or was damaged in
        the cache.
    """
    if url.is_of_hub:
        return _of_hub(url)
    path = _in_cache(url)
    digest = url.digest or _sha256(path)
    if not url.digest:
        _print_digest(url, digest)
    return path


def _in_cache(url: ModelUrl) -> pathlib.Path:
    """Returns the file of http(s), whose digest is as it was downloaded."""
    for each in (url, url._replace(digest="")):
        path = _place(each)
        known = _recorded(path)
        if known and path.exists() and url.digest in ("", known):
            _require_intact(path, known, url)
            return path
    # Slow to import, and needed once.
    from nucseg_jax.core.download import RemoteFile, download
    from nucseg_jax.model_folder.folder import read_model_folder

    path = _place(url)
    download(
        [RemoteFile(path.name, url.address, "sha256", url.digest)],
        path.parent,
        by_hand=f"download it in a browser and give the file's path in place of {url.name}",
        noun="packed model",
        elsewhere="name another folder for caches with XDG_CACHE_HOME",
    )
    try:
        read_model_folder(path)
    except UserError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"{url.name} was downloaded and removed again: {error}") from None
    try:
        write_json(path.parent / _RECORD, sealed({"url": url.name, "file_sha256": _sha256(path)}))
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written: {reason_of(error)}") from None
    return path


def _place(url: ModelUrl) -> pathlib.Path:
    """Returns where the file of a URL lies in the cache, or will."""
    home = cache_home()
    if home is None:
        raise UserError(
            f"{url.name} cannot be kept: HOME is not set",
            expected="a folder for downloads",
            advice="set XDG_CACHE_HOME",
        )
    key = hashlib.sha256(f"{url.address}#{url.digest}".encode()).hexdigest()[:16]
    return home / "nucseg_jax" / "models" / key / url.file


def _recorded(path: pathlib.Path) -> str:
    """Returns the SHA-256 that a file in the cache was downloaded with; '' where it is not known."""
    try:
        return str(unsealed(read_json(path.parent / _RECORD))["file_sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _require_intact(path: pathlib.Path, expected: str, url: ModelUrl) -> None:
    found = _sha256(path)
    if found != expected:
        raise UserError(
            f"{path} is damaged: it was downloaded from {url.name} and has the SHA-256 {found} now",
            expected=f"SHA-256 {expected}",
            advice="remove it and rerun the same command, which downloads it again",
        )


def _of_hub(url: ModelUrl) -> pathlib.Path:
    """Returns the file of the hub, from the library's cache where it has it."""
    require_extra("hub", f"{_HUB}://")
    import huggingface_hub

    repository, file, revision = hub_file(url.address)
    try:
        path = pathlib.Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # Its own, those of HTTP, and those of the disk.
        raise UserError(
            f"{url.name} could not be downloaded: {reason_of(error)}",
            expected="a file of a repository that you may read",
            advice="check owner, repository, file and revision; for a private one log in with `hf auth login`",
        ) from error
    digest = _sha256(path)
    if url.digest and digest != url.digest:
        raise UserError(
            f"{path} from {url.name} has the SHA-256 {digest}",
            expected=f"SHA-256 {url.digest}",
            advice="correct the URL, or remove the file and rerun the same command",
        )
    if not url.digest and not re.fullmatch("[0-9a-f]{40}", revision):
        _print_digest(url, digest)
    return path


def _sha256(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from None


def _print_digest(url: ModelUrl, digest: str) -> None:
    print(
        f"note: {url.name} states no digest; to be sure of the same model always, add #sha256={digest}",
        file=sys.stderr,
    )
