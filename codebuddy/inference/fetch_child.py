"""The program inside a download process; it is run by its path and imports nothing of codebuddy.

    fetch_child.py hub REPO FILE REVISION PART_FILE SHA256_OR_DASH
    fetch_child.py pip ARGUMENTS...

A process of its own can be stopped at any moment, whatever a library waits for. Its stdin
is a pipe from the parent: when that closes, the parent is gone, and this process ends too.
On failure the last line of stderr is the reason. It does not decide which bytes are right.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

# Small, so that the parent sees bytes arrive on a slow line (the library's own is 10 MiB).
_CHUNK_BYTES = 1 << 18
EXIT_FAILED = 1
EXIT_NO_SPACE = 28
_ORPHANED = 4


class RefusedError(Exception):
    """What the server offers is not to be fetched."""


def end_with_parent() -> None:
    """Leave as soon as stdin closes."""

    def wait() -> None:
        # The raw descriptor: a buffered stream would hold a lock that interpreter exit wants.
        while os.read(0, 1024):
            pass
        os._exit(_ORPHANED)

    threading.Thread(target=wait, daemon=True).start()


def fetch_from_hub(repo: str, file: str, revision: str, part: Path, sha256: str | None) -> None:
    """Download one file of the hub into `part`, going on where an earlier process stopped.

    The server's ETag is kept beside `part`; bytes of another ETag are thrown away.

    Raises:
        RefusedError: The hub's file is not the one wanted, or it redirects where it must not.
        OSError: It cannot be fetched or written.
    """
    from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.file_download import http_get

    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    url = hf_hub_url(repo, file, revision=revision)
    metadata = get_hf_file_metadata(url)
    etag, size = metadata.etag or "", metadata.size
    if sha256 and len(etag) == len(sha256) and etag != sha256:
        raise RefusedError(f"it offers a file with the SHA-256 {etag}, not {sha256}")
    check_location(url, metadata.location)
    headers = {"user-agent": "codebuddy"}
    token = get_token()
    # The bytes may come from another host; the token stays with the one it was given for.
    if token and urlsplit(metadata.location)[:2] == urlsplit(url)[:2]:
        headers["authorization"] = f"Bearer {token}"
    done = resumable_bytes(part, etag, size)
    if size is not None and done == size:
        return
    with part.open("r+b" if done else "wb") as stream:
        stream.seek(done)
        stream.truncate()
        http_get(metadata.location, stream, resume_size=done, headers=headers, expected_size=size)
        stream.flush()
        os.fsync(stream.fileno())


def check_location(asked: str, location: str) -> None:
    """Refuse a redirect to a weaker scheme, or from a public server into this machine or network.

    Raises:
        RefusedError: `location` must not be followed from `asked`.
    """
    before, after = urlsplit(asked), urlsplit(location)
    allowed = {"https"} if before.scheme == "https" else {"https", "http"}
    if after.scheme not in allowed:
        raise RefusedError(f"it redirects to {after.scheme or 'no'} scheme")
    if is_local(after.hostname or "") and not is_local(before.hostname or ""):
        raise RefusedError("it redirects into the local network")


def is_local(host: str) -> bool:
    """Whether `host` is written as this machine or a private address."""
    if not host or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def resumable_bytes(part: Path, etag: str, size: int | None) -> int:
    """How many bytes of `part` belong to the file with `etag`; notes the ETag for the next time."""
    note = part.with_name(part.name + ".json")
    try:
        known = json.loads(note.read_text(encoding="utf-8")).get("etag")
        done = part.stat().st_size
    except (OSError, ValueError, AttributeError):
        known, done = None, 0
    if not etag or known != etag or (size is not None and done > size):
        done = 0
        part.unlink(missing_ok=True)
        note.write_text(json.dumps({"etag": etag}), encoding="utf-8")
    return done


def run_pip(arguments: list[str]) -> None:
    """Become pip."""
    import runpy

    sys.argv = ["pip", *arguments]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def main(arguments: list[str]) -> int:
    """Run the wanted fetch; the exit code distinguishes a full disk from other failures."""
    end_with_parent()
    if arguments[0] == "pip":
        run_pip(arguments[1:])
        return 0
    repo, file, revision, part, sha256 = arguments[1:]
    try:
        fetch_from_hub(repo, file, revision, Path(part), None if sha256 == "-" else sha256)
    except Exception as error:  # noqa: BLE001 - a process boundary: every failure is its last line
        text = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"\n{text[:300]}\n")
        # No space, a quota, a limit on the file's size.
        full = isinstance(error, OSError) and error.errno in (28, 122, 27)
        return EXIT_NO_SPACE if full else EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
