"""Repositories by URL: fetched as the user's git may, into a private folder, none of them run.

What a repository brings along can run nothing here: no hook, no submodule, no filter that its
attributes ask for, no transport but those named, no helper of an `ext::` address. Size, number of
files and time are bounded. It knows no lists.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from codebuddy import platforms
from codebuddy.errors import RepositoryError, UsageError
from codebuddy.private_files import make_folder, write_file
from codebuddy.vcs.bounded import NO_TRANSPORT, StoppedError, run_bounded

# Of history, as many commits as anything here asks about, and some.
DEPTH = 1_000
_SCHEMES = {"https": "https", "ssh": "ssh", "git+ssh": "ssh", "file": "file"}
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\]_-]{0,252}")
# A single letter before the colon is a drive.
_SCP = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@|(?!.:))[A-Za-z0-9][A-Za-z0-9.-]*:(?!:|//)[^-:\s]\S*"
)
_IS_PATH = re.compile(r"[/~\\]|[A-Za-z]:[\\/]")
_SCP_PASSWORD = re.compile(r"[^/@:]*:[^/@]*@[^/]*:")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
_MAX_URL = 2_000
# What was fetched, until it is written out.
COPY = "refs/codebuddy/copy"
# In git's own folder, where it wins over the repository's attributes.
_NO_ATTRIBUTES = b"* -filter -ident -working-tree-encoding\n"
_LEAST_FREE_BYTES = 1 << 30
_MAX_LISTING = 64 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a repository may take: bytes fetched, its files' bytes and number, seconds."""

    fetched_bytes: int = 2 << 30
    file_bytes: int = 2 << 30
    files: int = 200_000
    seconds: float = 1_800.0


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository elsewhere: `url` as git takes it, and a branch or tag; empty for its own."""

    url: str
    ref: str = ""

    @property
    def text(self) -> str:
        """As it stands in a list."""
        return f"{self.url}#{self.ref}" if self.ref else self.url

    @property
    def parts(self) -> tuple[str, ...]:
        """The words of its path, the repository's own name last."""
        path = urlsplit(self.url).path if "://" in self.url else self.url.partition(":")[2]
        found = [part for part in path.removesuffix("/").removesuffix(".git").split("/") if part]
        return tuple(re.sub(r"[^\w.+-]", "_", part) for part in found) or ("repository",)

    def folder_in(self, folder: Path) -> Path:
        """Its own folder there, which no other origin has."""
        # As the last part, since it names the repository to those who work there.
        return folder / self.digest / (self.parts[-1][:100].lstrip(".-") or "repository")

    @property
    def digest(self) -> str:
        """Of its address; what is kept of it lies in a folder of that name."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def looks_like_url(text: str) -> bool:
    """Whether it is meant to be an address and no path."""
    if _IS_PATH.match(text):
        return False
    return "://" in text or "::" in text or bool(_SCP.fullmatch(text))


def origin_of(text: str) -> Origin:
    """The repository that `URL` or `URL#BRANCH` means.

    Raises:
        UsageError: It is none that git may be given.
    """
    _check_no_credentials(text)
    url, _, ref = text.partition("#")
    if ref and (not _REF.fullmatch(ref) or ".." in ref):
        raise UsageError(f"{shown(ref)!r} is no branch or tag", hint="write URL#BRANCH")
    if "::" in url.partition("/")[0].partition("@")[0] and "://" not in url:
        raise _refused(url, "it names a program to run")
    if not url.isprintable() or len(url) > _MAX_URL or " " in url:
        raise _refused(url, "")
    if "://" not in url:
        if _SCP.fullmatch(url):
            return Origin(url, ref)
        raise _refused(url, "")
    try:
        parts = urlsplit(url)
        # An error where it is no number.
        _ = parts.port
    except ValueError as error:
        raise _refused(url, "it is no URL") from error
    if parts.scheme not in _SCHEMES:
        raise _refused(url, f"{parts.scheme[:20]}:// is not fetched")
    if parts.query:
        raise _refused(url, "it has options")
    if parts.scheme == "file":
        if parts.netloc or not os.path.isabs(parts.path):  # noqa: PTH117
            raise _refused(url, "it is no absolute path")
    elif not _HOST.fullmatch(parts.netloc.rpartition("@")[2]) or parts.netloc.startswith("-"):
        raise _refused(url, "it names no host")
    if not parts.path.strip("/"):
        raise _refused(url, "it names no repository")
    return Origin(url, ref)


_FORMS = "https://HOST/PATH, ssh://HOST/PATH, user@HOST:PATH or file:///PATH"


def _check_no_credentials(text: str) -> None:
    """Refuse a password, and for all but ssh a user, who may be a token.

    Raises:
        UsageError: There is one.
    """
    scheme, is_url, rest = text.partition("://")
    user = rest.partition("/")[0].rpartition("@")[0]
    is_bare_user = scheme.lower().endswith("ssh") and ":" not in user
    if (is_url and user and not is_bare_user) or (not is_url and _SCP_PASSWORD.match(text)):
        raise UsageError(
            f"the address at {shown(text)!r} holds a user or a password",
            hint="leave it out, and let git's credential helper know it",
        )


def shown(text: str) -> str:
    """What of an address holds no secret."""
    return text.rpartition("@")[2].partition("?")[0][:200]


def _refused(url: str, why: str) -> UsageError:
    reason = f": {why}" if why else ""
    return UsageError(f"{shown(url)!r} is no address of a repository{reason}", hint=_FORMS)


def bring(origin: Origin, folder: Path, limits: Limits | None = None) -> str:
    """Make `folder` hold the origin's files as they are now; the id of the commit.

    Args:
        origin: What to fetch. git's own configuration says with which credentials; nobody is
            asked for any.
        folder: A clone that an earlier call made, or nothing yet; private from then on.
        limits: What is too large or takes too long is refused.

    Raises:
        RepositoryError: git cannot fetch it, or it is too large. What was there stays.
    """
    limits = limits or Limits()
    try:
        make_folder(folder, 2)
        with platforms.exclusive_lock(folder.parent / "fetch.lock", limits.seconds):
            return _brought(origin, folder, limits, time.monotonic() + limits.seconds)
    except StoppedError as error:
        raise RepositoryError(f"{origin.text} is not fetched: {error}", hint=_LARGE) from error
    except TimeoutError as error:
        raise RepositoryError(f"another process fetches {origin.text} for too long") from error
    except OSError as error:
        raise RepositoryError(
            f"{origin.text} cannot be kept in {folder}: {error.strerror}", hint="make room there"
        ) from error


def remove_clone(origin: Origin, folder: Path) -> None:
    """Delete what `bring` made of the origin in `folder`; nothing happens if it did not."""
    place = folder / origin.digest
    assert place.parent == folder
    assert place != folder
    shutil.rmtree(place, ignore_errors=True)


def _brought(origin: Origin, folder: Path, limits: Limits, deadline: float) -> str:
    git_folder = folder / ".git"
    is_new = not (git_folder / "HEAD").is_file()
    if is_new:
        shutil.rmtree(git_folder, ignore_errors=True)
        prepare(folder, deadline)
    _clear_leavings(git_folder)
    if shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
        raise RepositoryError(f"less than 1 GB is free for {origin.text}", hint="make room")

    def is_too_large() -> bool:
        return _bytes_in(git_folder / "objects") > limits.fetched_bytes

    try:
        run_bounded(
            folder,
            [
                "fetch",
                "--quiet",
                "--force",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-auto-maintenance",
                "--no-write-fetch-head",
                "--update-shallow",
                f"--depth={DEPTH}",
                "--",
                origin.url,
                f"+{origin.ref or 'HEAD'}:{COPY}",
            ],
            _transport(origin.url),
            deadline,
            is_too_large,
        )
    except StoppedError:
        # Half a fetch lies there, which the next one would add to; an index and labels, too.
        if is_new:
            shutil.rmtree(git_folder, ignore_errors=True)
        else:
            _clear_leavings(git_folder)
        raise
    except RepositoryError as error:
        raise RepositoryError(
            f"{origin.text} cannot be fetched: {error.message}", hint=_WHO
        ) from error
    return write_out(folder, origin.text, limits, deadline)


def _clear_leavings(git_folder: Path) -> None:
    """Delete what git leaves where it is killed; the caller alone writes there."""
    found = [*git_folder.glob("*.lock"), *(git_folder / "refs").rglob("*.lock")]
    for each in [*found, *(git_folder / "objects").rglob("tmp_*")]:
        with suppress(OSError):
            each.unlink()


def prepare(folder: Path, deadline: float) -> None:
    """Make an empty repository in a private folder, whose files no attribute will change.

    Raises:
        RepositoryError: git fails.
        OSError: A file cannot be written.
    """
    run_bounded(folder, ["init", "--quiet", "--template=", "."], NO_TRANSPORT, deadline)
    info = make_folder(folder / ".git" / "info")
    write_file(info / "attributes", _NO_ATTRIBUTES)


def write_out(folder: Path, name: str, limits: Limits, deadline: float) -> str:
    """Make the files those of what was fetched into `COPY`; the id of the commit.

    Raises:
        RepositoryError: They are too many or too large; `name` is whose.
    """
    _check_files(name, folder, limits, deadline)
    # A link is written as a plain file, too.
    how = ["-c", "core.symlinks=false"]
    run_bounded(folder, [*how, "reset", "--hard", "--quiet", COPY], NO_TRANSPORT, deadline)
    commit = run_bounded(folder, ["rev-parse", "--verify", "HEAD"], NO_TRANSPORT, deadline)
    return commit.decode("ascii", "replace").strip()


_LARGE = "clone it yourself, and add its folder"
_WHO = "'git ls-remote' with its address says what your git may read"


def _check_files(name: str, folder: Path, limits: Limits, deadline: float) -> None:
    """Refuse a tree that would fill the disk once it is written out.

    Raises:
        RepositoryError: It has too many files, or too large ones.
    """
    listing = ["ls-tree", "-r", "-l", "-z", COPY]
    out = run_bounded(folder, listing, NO_TRANSPORT, deadline, most=_MAX_LISTING)
    sizes = [line.split(b"\t")[0].split()[-1] for line in out.split(b"\0") if line]
    total = sum(int(size) for size in sizes if size.isdigit())
    if len(out) >= _MAX_LISTING or len(sizes) > limits.files or total > limits.file_bytes:
        raise RepositoryError(
            f"{name} has {len(sizes):,} files of {total / 1e9:.1f} GB, more than is fetched",
            hint=_LARGE,
        )


def _transport(url: str) -> str:
    return _SCHEMES[urlsplit(url).scheme] if "://" in url else "ssh"


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total
