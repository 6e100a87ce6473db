"""Remembers that a file's bytes were checked, so that a gigabyte is not hashed at every start.

A stamp is a small JSON file beside the model: size, modification time, inode and SHA-256.
While the first three still hold, the digest is taken as checked; when they do not, the file
is hashed again (about 1 s for a GB). It knows nothing of which digest is the right one.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from codebuddy.private_files import read_json, write_file

_MAX_STAMP_BYTES = 4096
_STAMP_SUFFIX = ".verified.json"
_HASH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's identity when it was hashed, and what came out."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str


def stamp_file(path: Path) -> Path:
    """Where the stamp of `path` lies."""
    return path.with_name(path.name + _STAMP_SUFFIX)


def hash_file(path: Path) -> Stamp:
    """Read all of `path` and return what it is now.

    Raises:
        OSError: It cannot be read, or it changed meanwhile.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        before = os.fstat(stream.fileno())
        while piece := stream.read(_HASH_BYTES):
            digest.update(piece)
        after = os.fstat(stream.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(0, "it changed while it was read", str(path))
    return Stamp(after.st_size, after.st_mtime_ns, after.st_ino, digest.hexdigest())


def read_stamp(path: Path) -> Stamp | None:
    """The stamp of `path` if it has one and the file is still the same, else None."""
    try:
        status = path.stat()
        recorded = Stamp(**read_json(stamp_file(path), _MAX_STAMP_BYTES, follows_links=True))
    except (OSError, ValueError, TypeError):
        return None
    current = Stamp(status.st_size, status.st_mtime_ns, status.st_ino, recorded.sha256)
    return recorded if recorded == current else None


def model_digest(path: Path) -> str:
    """Identifies weights: their SHA-256 where it was checked, else the file."""
    stamp = read_stamp(path)
    if stamp is not None:
        return stamp.sha256
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def recorded_digest(path: Path) -> str | None:
    """The digest that was once recorded for `path`, whatever the file is now."""
    try:
        stamp = read_json(stamp_file(path), _MAX_STAMP_BYTES, follows_links=True)
        digest = stamp["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return digest if isinstance(digest, str) else None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Record `stamp` beside `path`; a folder that cannot be written costs only a later rehash."""
    with suppress(OSError):
        write_file(stamp_file(path), json.dumps(asdict(stamp)).encode("ascii"))


def remove_stamp(path: Path) -> None:
    """Forget what was recorded for `path`."""
    stamp_file(path).unlink(missing_ok=True)
