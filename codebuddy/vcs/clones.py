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
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from codebuddy import platforms
from codebuddy.errors import RepositoryError, UsageError
from codebuddy.private_files import make_folder, write_file
from codebuddy.vcs.repository import (
    SAFE_CONFIG,
    SAFE_ENVIRONMENT,
    git_environment,
    git_executable,
)

# Of history, as many commits as anything here asks about, and some.
DEPTH = 1_000
_SCHEMES = {"https": "https", "ssh": "ssh", "git+ssh": "ssh", "file": "file"}
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\]_-]{0,252}")
_SCP = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!:|//)[^-:\s]\S*")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
_MAX_URL = 2_000
_LOOK_EVERY_S = 0.2
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
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        # As the last part, since it names the repository to those who work there.
        return folder / digest / self.parts[-1][:100].lstrip(".-")


def looks_like_url(text: str) -> bool:
    """Whether it is meant to be an address and no path."""
    return "://" in text or "::" in text or (bool(_SCP.fullmatch(text)) and "/" not in text[:1])


def origin_of(text: str) -> Origin:
    """The repository that `URL` or `URL#BRANCH` means.

    Raises:
        UsageError: It is none that git may be given.
    """
    url, _, ref = text.partition("#")
    if ref and (not _REF.fullmatch(ref) or ".." in ref):
        raise UsageError(f"{ref[:200]!r} is no branch or tag", hint="write URL#BRANCH")
    if "::" in url.partition("/")[0].partition("@")[0] and "://" not in url:
        raise _refused(url, "it names a program to run")
    if not url.isprintable() or len(url) > _MAX_URL or " " in url:
        raise UsageError(f"{url[:200]!r} is no address of a repository", hint=_FORMS)
    if "://" not in url:
        if _SCP.fullmatch(url):
            return Origin(url, ref)
        raise _refused(url, "")
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError as error:
        raise _refused(url, "it is no URL") from error
    if parts.scheme not in _SCHEMES:
        raise _refused(url, f"{parts.scheme[:20]}:// is not fetched")
    if parts.query:
        raise _refused(url, "it has options")
    if password is not None:
        raise UsageError(
            f"the address at {parts.hostname} holds a password",
            hint="leave it out, and let git's credential helper know it",
        )
    if parts.scheme == "file":
        if parts.netloc or not os.path.isabs(parts.path):  # noqa: PTH117
            raise _refused(url, "it is no absolute path")
    elif not _HOST.fullmatch(parts.netloc.rpartition("@")[2]) or parts.netloc.startswith("-"):
        raise _refused(url, "it names no host")
    if not parts.path.strip("/"):
        raise _refused(url, "it names no repository")
    return Origin(url, ref)


_FORMS = "https://HOST/PATH, ssh://HOST/PATH, user@HOST:PATH or file:///PATH"


def _refused(url: str, why: str) -> UsageError:
    reason = f": {why}" if why else ""
    return UsageError(f"{url[:200]!r} is no address of a repository{reason}", hint=_FORMS)


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
    deadline = time.monotonic() + limits.seconds
    try:
        make_folder(folder, 2)
        with platforms.exclusive_lock(folder.parent / "fetch.lock", limits.seconds):
            return _brought(origin, folder, limits, deadline)
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
    shutil.rmtree(origin.folder_in(folder).parent, ignore_errors=True)


def _brought(origin: Origin, folder: Path, limits: Limits, deadline: float) -> str:
    git_folder = folder / ".git"
    if not (git_folder / "HEAD").is_file():
        shutil.rmtree(git_folder, ignore_errors=True)
        prepare(folder, deadline)
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
        # Half a fetch lies there as temporary files, which the next one would add to.
        shutil.rmtree(git_folder, ignore_errors=True)
        raise
    except RepositoryError as error:
        raise RepositoryError(
            f"{origin.text} cannot be fetched: {error.message}", hint=_WHO
        ) from error
    return write_out(folder, origin.text, limits, deadline)


def prepare(folder: Path, deadline: float) -> None:
    """Make an empty repository in a private folder, whose files no attribute will change.

    Raises:
        RepositoryError: git fails.
        OSError: A file cannot be written.
    """
    run_bounded(folder, ["init", "--quiet", "--template=", "."], "file", deadline)
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
    run_bounded(folder, [*how, "reset", "--hard", "--quiet", COPY], "file", deadline)
    commit = run_bounded(folder, ["rev-parse", "--verify", "HEAD"], "file", deadline)
    return commit.decode("ascii", "replace").strip()


_LARGE = "clone it yourself, and add its folder"
_WHO = "'git ls-remote' with its address says what your git may read"


def _check_files(name: str, folder: Path, limits: Limits, deadline: float) -> None:
    """Refuse a tree that would fill the disk once it is written out.

    Raises:
        RepositoryError: It has too many files, or too large ones.
    """
    listing = ["ls-tree", "-r", "-l", "-z", COPY]
    out = run_bounded(folder, listing, "file", deadline, most=_MAX_LISTING)
    sizes = [line.split(b"\t")[0].split()[-1] for line in out.split(b"\0") if line]
    total = sum(int(size) for size in sizes if size.isdigit())
    if len(out) >= _MAX_LISTING or len(sizes) > limits.files or total > limits.file_bytes:
        raise RepositoryError(
            f"{name} has {len(sizes):,} files of {total / 1e9:.1f} GB, more than is fetched",
            hint=_LARGE,
        )


def _transport(url: str) -> str:
    return _SCHEMES[urlsplit(url).scheme] if "://" in url else "ssh"


class StoppedError(Exception):
    """git was ended, since it took too much or too long."""


def run_bounded(
    folder: Path,
    arguments: Sequence[str],
    transport: str,
    deadline: float,
    is_too_large: Callable[[], bool] | None = None,
    most: int = 1 << 20,
) -> bytes:
    """git's stdout, its first `most` bytes; of the ways to fetch `transport` alone may be used.

    It runs nothing that a repository names, and asks nobody for a password.

    Raises:
        RepositoryError: git failed or is missing.
        StoppedError: It took too long, or what it wrote became too large.
    """
    options = [
        part
        for setting in (
            *SAFE_CONFIG,
            "protocol.allow=never",
            "protocol.ext.allow=never",
            f"protocol.{transport}.allow=always",
            "submodule.recurse=false",
            "fetch.recurseSubmodules=false",
            "core.protectNTFS=true",
            "core.protectHFS=true",
            "gc.auto=0",
            "maintenance.auto=false",
            "advice.detachedHead=false",
        )
        for part in ("-c", setting)
    ]
    environment = git_environment(os.environ) | SAFE_ENVIRONMENT
    environment |= {"GIT_ALLOW_PROTOCOL": transport, "SSH_ASKPASS_REQUIRE": "never"}
    if time.monotonic() > deadline:
        raise StoppedError("it takes too long")
    command = [git_executable(), "-C", str(folder), *options, *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Without a terminal nobody can be asked for a password.
            start_new_session=not platforms.IS_WINDOWS,
        )
    except OSError as error:
        raise RepositoryError(f"git cannot be started: {error.strerror}") from error
    return _answer(process, deadline, is_too_large, most)


def _answer(
    process: subprocess.Popen[bytes],
    deadline: float,
    is_too_large: Callable[[], bool] | None,
    most: int,
) -> bytes:
    from concurrent.futures import ThreadPoolExecutor

    assert process.stdout is not None
    assert process.stderr is not None
    stopped = ""
    with ThreadPoolExecutor(2) as readers:
        out = readers.submit(_read, process.stdout, most)
        complaint = readers.submit(_read, process.stderr, 1 << 16)
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_EVERY_S)
                break
            if time.monotonic() > deadline:
                stopped = "it takes too long"
            elif is_too_large is not None and is_too_large():
                stopped = "it is too large"
            if stopped:
                break
        platforms.kill_with_children(process)
    process.stdout.close()
    process.stderr.close()
    if stopped or (is_too_large is not None and is_too_large()):
        raise StoppedError(stopped or "it is too large")
    if process.returncode != 0:
        lines = complaint.result().decode("utf-8", "replace").strip().splitlines()
        said = next((line for line in lines if line.startswith("fatal: ")), (lines or [""])[-1])
        raise RepositoryError(said.removeprefix("fatal: ")[:300] or "git gave no reason")
    return out.result()


def _read(stream: object, most: int) -> bytes:
    """The first `most` bytes; the rest is read, too, so that git can end."""
    found = stream.read(most)  # type: ignore[attr-defined]
    while stream.read(1 << 20):  # type: ignore[attr-defined]
        pass
    return bytes(found)


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total
