"""Which files of a repository are indexed, and how one is read without harm.

The list comes from git; `.codebuddyignore` of the root takes files away and, with `!`,
brings back files that git ignores. Reading follows no link, blocks on nothing, and refuses
what is too large, binary, secret or in an encoding that is not read, with the reason. It
knows nothing of chunks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from codebuddy import platforms
from codebuddy.errors import IndexingError
from codebuddy.index.ignore_rules import IgnoreRules, MatchingTimeoutError, TooManyPatternsError
from codebuddy.source_text import as_utf8, reason_unreadable
from codebuddy.vcs.repository import Repository

IGNORE_FILE = b".codebuddyignore"
_MAX_IGNORE_BYTES = 128 << 10
# A file changed this shortly before it was read may change again within the same tick of
# the file system's clock (2 s on FAT), so its times alone do not prove it unchanged.
RACY_NS = 2_000_000_000
# What SQLite keeps; a file system knows times beyond.
_LARGEST = 0x7FFF_FFFF_FFFF_FFFF

_SECRET_NAMES = frozenset(
    ".env .envrc .npmrc .pypirc .netrc _netrc .git-credentials .htpasswd .pgpass .dockercfg "
    ".vault-token .s3cfg .boto credentials credentials.json id_rsa id_dsa id_ecdsa id_ed25519 "
    "id_ecdsa_sk id_ed25519_sk".split()
)
_SECRET_SUFFIXES = (
    ".pem .key .p8 .p12 .pfx .jks .keystore .kdbx .ppk .tfstate .tfstate.backup".split()
)
_PUBLIC_ENV_SUFFIXES = (".example", ".sample", ".template", ".dist", ".defaults")
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_KEY_MATERIAL = re.compile(rb"[A-Za-z0-9+/]{32}")
_KEY_MATERIAL_WINDOW_BYTES = 512


@dataclass(frozen=True, slots=True)
class FileStat:
    """Stat fields that change with the file; times in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStat:
        """The part of `status` that counts, in the 63 bits and a sign that SQLite keeps.

        Large inode numbers fold; times before 1678 and after 2261 are the first and the last one.
        """
        mtime_ns, ctime_ns = map(_within_63_bits, (status.st_mtime_ns, status.st_ctime_ns))
        return cls(status.st_size, mtime_ns, ctime_ns, status.st_ino & _LARGEST)

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """All four, as columns of a row."""
        return self.size, self.mtime_ns, self.ctime_ns, self.inode


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not indexed: `reason` is one of the words that reports count by."""

    reason: str
    stat: FileStat


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's text as UTF-8 without a byte order mark, and the digest of its bytes.

    `is_racy` when its times were too fresh to prove anything later.
    """

    source: bytes
    stat: FileStat
    digest: bytes
    is_racy: bool


def candidates(repository: Repository, max_bytes: int) -> dict[bytes, FileStat | Skipped]:
    """Every file that could be indexed, by path, with its stat, or why it is skipped at sight.

    Files that are gone from the work tree are left out.

    Args:
        repository: Whose files.
        max_bytes: Larger files are skipped as `large`.
    """
    found: dict[bytes, FileStat | Skipped] = {}
    prefix = repository.root_bytes.rstrip(b"/") + b"/"
    for path in _selected(repository):
        try:
            status = os.lstat(prefix + path)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                found[path] = Skipped("permission", FileStat(0, 0, 0, 0))
            continue
        at_sight = _reason_at_sight(path, status, max_bytes)
        seen = FileStat.of(status)
        found[path] = Skipped(at_sight, seen) if at_sight else seen
    return found


def _selected(repository: Repository) -> Iterable[bytes]:
    listed = repository.list_files()
    content = _ignore_file(repository)
    if not content:
        return listed
    if len(content) > _MAX_IGNORE_BYTES:
        raise _unusable_rules(f"it is larger than {_MAX_IGNORE_BYTES:,} bytes")
    try:
        rules = IgnoreRules(content)
        kept = [path for path in listed if rules.match(path) is not True]
        if rules.has_negations:
            ignored = repository.list_ignored_files()
            kept += [path for path in ignored if rules.match(path) is False]
    except TooManyPatternsError as error:
        raise _unusable_rules(str(error)) from error
    except MatchingTimeoutError as error:
        raise _unusable_rules("matching its patterns takes too long") from error
    return kept


def _ignore_file(repository: Repository) -> bytes:
    """The beginning of the root's `.codebuddyignore`; empty if there is none."""
    try:
        descriptor = platforms.open_beneath(repository.root_bytes, IGNORE_FILE)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return b""
        return stream.read(_MAX_IGNORE_BYTES + 1)


def _unusable_rules(reason: str) -> IndexingError:
    return IndexingError(
        f"{os.fsdecode(IGNORE_FILE)} cannot be used: {reason}",
        hint="make it simpler, or delete it",
    )


def _reason_at_sight(path: bytes, status: os.stat_result, max_bytes: int) -> str:
    """Why a file is not even opened, or an empty text."""
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "submodule"
    if not stat.S_ISREG(mode):
        return "special"
    if has_secret_name(path):
        return "secret"
    return "large" if status.st_size > max_bytes else ""


def has_secret_name(path: bytes) -> bool:
    """Whether files of this name hold keys or passwords as a rule."""
    name = os.fsdecode(path.rpartition(b"/")[2]).lower()
    if name in _SECRET_NAMES or name.endswith(tuple(_SECRET_SUFFIXES)):
        return True
    if name.startswith(".env."):
        return not name.endswith(_PUBLIC_ENV_SUFFIXES)
    return path.endswith((b".docker/config.json", b".kube/config"))


def has_private_key(source: bytes) -> bool:
    """Whether `source` holds a private key: the header with key material behind it.

    Code that only speaks of the header is not one.
    """
    return any(
        _KEY_MATERIAL.search(source, match.end(), match.end() + _KEY_MATERIAL_WINDOW_BYTES)
        for match in _PRIVATE_KEY.finditer(source)
    )


def read_file(
    root: bytes, path: bytes, max_bytes: int, now_ns: int, known_digest: bytes = b""
) -> ReadFile | Skipped | None:
    """Read one candidate.

    Args:
        root: The repository's root.
        path: Relative to it.
        max_bytes: Larger files are skipped as `large`.
        now_ns: The system's time, to detect a racy file.
        known_digest: Of a content that is indexed; a file with it comes without its text.

    Returns:
        The file, why it is skipped, or `None` when it is gone.
    """
    for _ in range(2):
        outcome = _read_once(root, path, max_bytes, now_ns, known_digest)
        if not (isinstance(outcome, Skipped) and outcome.reason == "changing"):
            break
    return outcome


def _read_once(
    root: bytes, path: bytes, max_bytes: int, now_ns: int, known_digest: bytes
) -> ReadFile | Skipped | None:
    unknown = FileStat(0, 0, 0, 0)
    try:
        descriptor = platforms.open_beneath(root, path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return Skipped("symlink", unknown)
        if error.errno in (errno.EACCES, errno.EPERM):
            return Skipped("permission", unknown)
        return Skipped("special" if error.errno == errno.ENXIO else "unreadable", unknown)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())
        before = FileStat.of(status)
        if not stat.S_ISREG(status.st_mode):
            return Skipped("special", before)
        if before.size > max_bytes:
            return Skipped("large", before)
        try:
            source = _read_fully(stream, before.size)
        except OSError:
            return Skipped("unreadable", before)
        if len(source) != before.size or FileStat.of(os.fstat(stream.fileno())) != before:
            return Skipped("changing", before)
    is_racy = max(before.mtime_ns, before.ctime_ns) + RACY_NS > now_ns
    # A stat that matches nothing makes the next update look at a racy file again.
    settled = FileStat(before.size, 0, 0, before.inode) if is_racy else before
    digest = hashlib.sha256(source).digest()
    if digest == known_digest:
        return ReadFile(b"", before, digest, is_racy)
    text = as_utf8(source)
    if text is None:
        return Skipped(reason_unreadable(source), settled)
    if has_private_key(text):
        return Skipped("secret", settled)
    return ReadFile(text, before, digest, is_racy)


def _within_63_bits(number: int) -> int:
    return max(-_LARGEST, min(number, _LARGEST))


def _read_fully(stream: Any, size: int) -> bytes:
    """Up to one byte more than `size`, so that a growing file shows."""
    pieces: list[bytes] = []
    left = size + 1
    while left > 0:
        piece = stream.read(left)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
