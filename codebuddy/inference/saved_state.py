"""The KV cache as a file, so that a restarted process resumes where it was.

Reading and checking 40 MB takes a fraction of a second, evaluating the same prompt again ten
seconds and more. The file is derived data: for its owner alone, checksummed, bound to model,
runtime and settings, and refused without a word when anything differs. The native code that
takes the bytes trusts them, so a file that another user could have written is not read.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codebuddy.inference.kv_cache import KvCache
from codebuddy.private_files import open_plain, parse_json, whole_number, write_file
from codebuddy.saved_kv import UNKNOWN

# About 4,000 tokens of the default model.
MAX_BYTES = 128 << 20
_MAGIC = b"codebuddy kv 1\n"
_MAX_HEADER_BYTES = 4 << 20
_CHECKSUM_BYTES = 32
_LARGEST_TOKEN = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What a state belongs to: only exactly the same may take it up."""

    model: str
    runtime: str
    n_ctx: int
    gpu_layers: int
    may_flash: bool


def save(
    path: Path,
    llama: Any,
    context: Any,
    kv: KvCache,
    identity: Identity,
    max_bytes: int,
    readers: Sequence[str] = (UNKNOWN,),
) -> int:
    """Write the slots, the last used first, as many as `max_bytes` allow.

    `readers` are the repositories whose code they may hold (saved_kv.py). A crash or a full disk
    leaves the file from before.

    Returns:
        The bytes written; 0 if there was nothing to keep.

    Raises:
        OSError: The file cannot be written.
    """
    states: list[tuple[int, bytes]] = []
    room = max_bytes
    for slot in kv.by_last_use():
        # Behind a hole nothing can be taken up.
        kv.cut(kv.whole_length(slot), slot)
        size = int(llama.llama_state_seq_get_size(context, slot))
        if size > room:
            continue
        buffer = (ctypes.c_uint8 * size)()
        written = int(llama.llama_state_seq_get_data(context, buffer, size, slot))
        if written:
            states.append((slot, bytes(buffer[:written])))
            room -= written
    if not states:
        return 0
    slots = [
        {"tokens": kv.slots[slot], "exact": kv.exact_length(slot), "bytes": len(state)}
        for slot, state in states
    ]
    about = {"identity": asdict(identity), "readers": list(readers), "slots": slots}
    header = json.dumps(about).encode() + b"\n"
    parts = [_MAGIC, header, *(state for _, state in states)]
    content = b"".join([*parts, _checksum(*parts)])
    write_file(path, content, is_durable=True)
    return len(content)


def load(path: Path, llama: Any, context: Any, kv: KvCache, identity: Identity) -> bool:
    """Fill the slots from a file; False, with the cache as it was, where it must not be used."""
    content = _read(path)
    if content is None:
        return False
    parts = _parse(content, identity, len(kv.slots))
    if parts is None:
        return False
    kv.clear()
    # The oldest first, so that the newest ends up as the last used.
    for slot, (tokens, exact, state) in reversed(list(enumerate(parts))):
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not llama.llama_state_seq_set_data(context, buffer, len(state), slot):
            kv.clear()
            return False
        kv.adopt(slot, tokens, exact)
    return True


def _read(path: Path) -> bytes | None:
    """The file's checked content, if it is a plain file of this user that no other may write."""
    try:
        with os.fdopen(open_plain(path), "rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size > MAX_BYTES * 2:
                return None
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
                return None
            content = stream.read()
    except OSError:
        return None
    body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    return body if body.startswith(_MAGIC) and _checksum(body) == checksum else None


def _parse(
    content: bytes, identity: Identity, n_slots: int
) -> list[tuple[list[int], int, bytes]] | None:
    end = content.find(b"\n", len(_MAGIC), len(_MAGIC) + _MAX_HEADER_BYTES)
    try:
        header = parse_json(content[len(_MAGIC) : end])
        if header["identity"] != asdict(identity) or len(header["slots"]) > n_slots:
            return None
        parts, at = [], end + 1
        for slot in header["slots"]:
            size = whole_number(slot["bytes"], 0, len(content))
            tokens = [whole_number(token, 0, _LARGEST_TOKEN) for token in slot["tokens"]]
            exact = whole_number(slot["exact"], 0, len(tokens))
            parts.append((tokens, exact, content[at : at + size]))
            at += size
    except (ValueError, KeyError, TypeError):
        return None
    return parts if at == len(content) else None


def _checksum(*parts: bytes) -> bytes:
    """Of the parts one behind the other."""
    digest = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()
