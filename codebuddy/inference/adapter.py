"""Reads an adapter file and refuses what does not fit its base, before llama.cpp sees it.

An adapter is a GGUF file of low-rank changes: for a weight W `[out, in]` of the base it holds
A `[rank, in]` and B `[out, rank]`, and the model then computes with W + alpha / rank * B A. It
is small, so that all of it is read: every number is looked at, and the digest is that of what was
read. It knows nothing of cards, settings or when an adapter acts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy.datatypes import Adapter
from codebuddy.errors import ModelError
from codebuddy.inference.gguf import GgufHeader, GgufTensor, parse_header
from codebuddy.inference.gguf_reader import DamagedError
from codebuddy.private_files import read_file

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Rank 64 for every weight of the default model takes 150 MB.
MAX_BYTES = 256 << 20
_MAX_RANK = 1024
_LARGEST_ALPHA = 65536.0
# Of tensor types: float32, float16, bfloat16.
_FLOAT32, _FLOAT16, _BFLOAT16 = 0, 1, 30
# Bits of 1000, beyond any weight that training gives. Without their sign, floating numbers
# are ordered as their bits are, and what is infinite or no number lies beyond.
_LARGEST_BITS = {_FLOAT32: 0x447A0000, _FLOAT16: 0x63D0, _BFLOAT16: 0x447A}
_SIDES = (".lora_a", ".lora_b")


class _UnfitError(Exception):
    """The adapter breaks a rule; the text says which."""


def read_adapter(path: Path, base: GgufHeader) -> Adapter:
    """The adapter of a file, checked against the base that it is to change.

    Args:
        path: A GGUF file.
        base: The header of the model's file.

    Raises:
        ModelError: It cannot be read, is damaged or no adapter, or does not fit the base.
    """
    try:
        before = identity_of(path)
        _check(before[2] <= MAX_BYTES, f"it is larger than {MAX_BYTES >> 20} MiB")
        header = parse_header(path)
        _check_kind(header, base)
        rank = _check_shapes(header.tensors, base)
        content = read_file(path, MAX_BYTES, follows_links=True)
        is_same = identity_of(path) == before and len(content) == header.file_bytes
        _check(is_same, "it changed while it was read")
        for tensor in header.tensors:
            _check_numbers(tensor, content)
    except (_UnfitError, DamagedError) as error:
        raise refused(path, str(error)) from error
    except OSError as error:
        raise ModelError(
            f"cannot read the adapter {path}: {error.strerror}",
            hint="set model.adapter to another file, or to none",
        ) from error
    return Adapter(
        name=path.stem,
        sha256=hashlib.sha256(content).hexdigest(),
        path=path,
        identity=before,
        size=len(content),
        rank=rank,
        alpha=header.fractions["adapter.lora.alpha"],
    )


def refused(path: Path, why: str) -> ModelError:
    """What to raise for an adapter that cannot be used."""
    return ModelError(
        f"{path} is not a usable adapter: {why}",
        hint="set model.adapter to another file, or to none",
    )


def identity_of(path: Path) -> tuple[int, int, int, int]:
    """Device, inode, size and time of change.

    Raises:
        OSError: There is no such file.
    """
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _check(is_right: bool, otherwise: str) -> None:  # noqa: FBT001
    if not is_right:
        raise _UnfitError(otherwise)


def _check_kind(header: GgufHeader, base: GgufHeader) -> None:
    if header.texts.get("general.type") != "adapter" or header.texts.get("adapter.type") != "lora":
        raise _UnfitError("it does not say that it is an adapter of type lora")
    if header.architecture != base.architecture:
        raise _UnfitError(
            f"it is for the architecture {header.architecture!r:.40}, not {base.architecture}"
        )
    alpha = header.fractions.get("adapter.lora.alpha")
    if alpha is None:
        # llama.cpp would then leave out the factor alpha / rank.
        raise _UnfitError("it has no adapter.lora.alpha")
    if not (math.isfinite(alpha) and 0 < alpha <= _LARGEST_ALPHA):
        raise _UnfitError(f"its alpha is {alpha}")


def _check_shapes(tensors: tuple[GgufTensor, ...], base: GgufHeader) -> int:
    """The largest rank.

    Raises:
        _UnfitError: Something is missing, or not of the base's shape.
    """
    held = {tensor.name: tensor for tensor in tensors}
    targets = {tensor.name: tensor.dimensions for tensor in base.tensors}
    changed = dict.fromkeys(name[: -len(_SIDES[0])] for name in held if name.endswith(_SIDES))
    strange = next((name for name in held if not name.endswith(_SIDES)), None)
    if strange is not None:
        raise _UnfitError(f"the tensor {strange!r:.80} is no part of an adapter")
    if not changed:
        raise _UnfitError("it changes nothing")
    return max(_checked_rank(name, held, targets.get(name)) for name in changed)


def _checked_rank(name: str, held: Mapping[str, GgufTensor], target: tuple[int, ...] | None) -> int:
    # Embeddings and norms are read in another way, or are shared with the output.
    if target is None or len(target) != 2 or not name.startswith("blk."):
        raise _UnfitError(f"the base has no weight {name!r:.80} that an adapter may change")
    a, b = (held.get(name + side) for side in _SIDES)
    if a is None or b is None:
        raise _UnfitError(f"of {name} it has only one of A and B")
    for tensor in (a, b):
        if tensor.kind not in _LARGEST_BITS:
            raise _UnfitError(f"{tensor.name} is neither float32, float16 nor bfloat16")
        if len(tensor.dimensions) != 2:
            raise _UnfitError(f"{tensor.name} has {len(tensor.dimensions)} dimensions, not 2")
    rank = a.dimensions[1]
    if b.dimensions[0] != rank:
        raise _UnfitError(f"{name} has rank {rank} in A and {b.dimensions[0]} in B")
    if rank > _MAX_RANK:
        raise _UnfitError(f"{name} has rank {rank}, more than {_MAX_RANK}")
    if (a.dimensions[0], b.dimensions[1]) != target:
        found = f"{a.dimensions[0]} x {b.dimensions[1]}"
        raise _UnfitError(f"{name} changes {found} numbers, the base has {target[0]} x {target[1]}")
    return rank


def _check_numbers(tensor: GgufTensor, content: bytes) -> None:
    import numpy as np

    bits: npt.NDArray[np.uint16 | np.uint32]
    if tensor.kind == _FLOAT32:
        whole = np.frombuffer(content, "<u4", tensor.size // 4, tensor.offset)
        bits = whole & np.uint32(0x7FFFFFFF)
    else:
        half = np.frombuffer(content, "<u2", tensor.size // 2, tensor.offset)
        bits = half & np.uint16(0x7FFF)
    if int(bits.max()) > _LARGEST_BITS[tensor.kind]:
        raise _UnfitError(f"{tensor.name} holds a number that is absurd, infinite or none")
