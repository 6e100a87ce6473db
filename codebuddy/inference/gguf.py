"""Reads a GGUF file's header and refuses a hostile one before the native loader sees it.

The layout is GGUF versions 2 and 3 (little-endian): magic, version, tensor count, key-value
count, key-values, tensor descriptions, then the data at the next multiple of the alignment.
Every count, length and offset is checked against the file before it is used, arrays are
walked without being built, and at most 64 MiB are held in memory.

It knows nothing of what the weights mean, and it does not say that a file is genuine: only
the digest does.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from codebuddy.errors import ModelError
from codebuddy.inference.gguf_reader import SCALARS, DamagedError, Reader

_MAX_KEYS = 1 << 16
_MAX_TENSORS = 1 << 16
# All string arrays together; two million take about half a second to walk.
_MAX_STRINGS = 1 << 21
_MAX_NAME_BYTES = 1 << 16
_MAX_TENSOR_NAME_BYTES = 63
_MAX_DIMENSIONS = 4
_MAX_DIMENSION = 1 << 40
_MAX_ALIGNMENT = 1 << 16

_STRING, _ARRAY, _UINT32, _FLOAT32 = 8, 9, 4, 6
_INTEGERS = frozenset((0, 1, 2, 3, 4, 5, 10, 11))

# Tensor type -> (elements in a block, bytes of a block), from ggml's public type table.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip

# How vocabularies spell the token that opens a fill-in-the-middle prompt.
_FIM_OPENERS = (
    b"<|fim_prefix|>",
    b"<fim_prefix>",
    b"<fim-prefix>",
    "<\uff5cfim\u2581begin\uff5c>".encode(),
)


# The texts and fractions that are read beside numbers: what an adapter says of itself.
_TEXTS = frozenset(("general.type", "adapter.type"))
_FRACTIONS = frozenset(("adapter.lora.alpha",))


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor of a file: its dimensions (the innermost first), type, and place in bytes."""

    name: str
    dimensions: tuple[int, ...]
    kind: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a header says. Numbers that the file does not give are 0.

    `n_head_kv` holds one number per layer where the file does, else one number. `texts` and
    `fractions` hold what an adapter says of itself, and `tensors` begin at absolute offsets.
    """

    architecture: str
    version: int
    n_tensors: int
    n_layers: int
    n_ctx_train: int
    n_embd: int
    n_head: int
    n_head_kv: tuple[int, ...]
    n_vocab: int
    key_length: int
    value_length: int
    file_type: int | None
    has_fim: bool
    split_count: int
    file_bytes: int
    texts: Mapping[str, str]
    fractions: Mapping[str, float]
    tensors: tuple[GgufTensor, ...]

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of f16 keys and values that one token of context takes over all layers."""
        if len(self.n_head_kv) == self.n_layers and self.n_layers > 1:
            heads = sum(self.n_head_kv)
        else:
            heads = max(self.n_head_kv, default=0) * self.n_layers
        return heads * (self.key_length + self.value_length) * 2


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of the GGUF file at `path`.

    Raises:
        ModelError: It cannot be read, is no GGUF file, or breaks a rule of the format.
    """
    try:
        return parse_header(path)
    except DamagedError as damage:
        raise ModelError(
            f"{path} is not a usable GGUF model: {damage}",
            hint="download it again, or convert it again with a current llama.cpp",
        ) from damage
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror or error}") from error


def parse_header(path: Path) -> GgufHeader:
    """The same for a caller with errors of its own.

    Raises:
        DamagedError: It is no GGUF file, or breaks a rule of the format.
        OSError: It cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from error
    try:
        return _parse(Reader(descriptor, _regular_bytes(descriptor)))
    finally:
        os.close(descriptor)


def _regular_bytes(descriptor: int) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise DamagedError("it is not a regular file")
    return status.st_size


def _parse(reader: Reader) -> GgufHeader:
    version, n_tensors, n_keys = _read_preamble(reader)
    keys = _Keys()
    for _ in range(n_keys):
        keys.read_one(reader)
    tensors = _read_tensors(reader, n_tensors, keys.alignment())
    return keys.header(version, tensors, reader.file_bytes)


def _read_preamble(reader: Reader) -> tuple[int, int, int]:
    if reader.file_bytes == 0:
        raise DamagedError("it is empty")
    reader.need(min(512, reader.file_bytes))
    if not reader.data.startswith(b"GGUF"):
        if reader.data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise DamagedError("it is an HTML page, probably an error that a server sent")
        raise DamagedError("it does not begin with GGUF")
    reader.offset = 4
    version = reader.u32()
    if version not in (2, 3):
        raise DamagedError(f"its GGUF version is {version}, not 2 or 3")
    n_tensors, n_keys = reader.u64(), reader.u64()
    # The least that a tensor and a key can take, so that no count outgrows the file.
    if n_tensors > min(_MAX_TENSORS, reader.file_bytes // 24):
        raise DamagedError(f"it claims {n_tensors} tensors")
    if n_keys > min(_MAX_KEYS, reader.file_bytes // 13):
        raise DamagedError(f"it claims {n_keys} keys")
    return version, n_tensors, n_keys


class _Keys:
    """The key-values that are of use, with every key's name to notice doubles."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._numbers: dict[str, tuple[int, ...]] = {}
        self._types: dict[str, int] = {}
        self._lengths: dict[str, int] = {}
        self._architecture = ""
        self._texts: dict[str, str] = {}
        self._fractions: dict[str, float] = {}
        self._strings_left = _MAX_STRINGS
        self._has_fim = False

    def read_one(self, reader: Reader) -> None:
        """Read one key with its value."""
        name = _decoded(reader.string("a key", _MAX_NAME_BYTES))
        if not name:
            raise DamagedError("a key has no name")
        if name in self._names:
            raise DamagedError(f"the key {name!r:.80} stands twice")
        self._names.add(name)
        kind = reader.u32()
        self._types[name] = kind
        if kind == _STRING:
            text = reader.string(f"the value of {name!r:.80}", reader.file_bytes)
            if name == "general.architecture":
                self._architecture = _decoded(text[:_MAX_NAME_BYTES])
            elif name in _TEXTS:
                self._texts[name] = _decoded(text[:_MAX_NAME_BYTES])
        elif kind == _ARRAY:
            self._read_array(name, reader)
        elif kind in SCALARS:
            value = reader.scalar(SCALARS[kind])
            if kind in _INTEGERS:
                self._numbers[name] = (int(value),)
            elif name in _FRACTIONS and kind == _FLOAT32:
                self._fractions[name] = float(value)
        else:
            raise DamagedError(f"the key {name!r:.80} has the unknown type {kind}")

    def _read_array(self, name: str, reader: Reader) -> None:
        kind, count = reader.u32(), reader.u64()
        self._lengths[name] = count
        if kind == _STRING:
            if count > min(self._strings_left, reader.file_bytes // 8):
                raise DamagedError(f"the list {name!r:.80} claims {count} texts")
            self._strings_left -= count
            start = reader.offset
            reader.skip_strings(count)
            if name == "tokenizer.ggml.tokens":
                self._has_fim = any(
                    reader.data.find(opener, start, reader.offset) >= 0 for opener in _FIM_OPENERS
                )
        elif kind in SCALARS:
            layout = SCALARS[kind]
            if count > reader.file_bytes // layout.size:
                raise DamagedError(f"the list {name!r:.80} claims {count} numbers")
            start = reader.offset
            reader.skip(count * layout.size)
            if kind in _INTEGERS and 0 < count <= 4096:
                code = layout.format[1:]
                self._numbers[name] = struct.unpack_from(f"<{count}{code}", reader.data, start)
        elif kind == _ARRAY:
            raise DamagedError(f"the list {name!r:.80} holds lists")
        else:
            raise DamagedError(f"the list {name!r:.80} has the unknown type {kind}")

    def alignment(self) -> int:
        """Where tensors may begin: a power of two."""
        if "general.alignment" not in self._names:
            return 32
        value = self._numbers.get("general.alignment", (0,))[0]
        is_power = value > 0 and value & (value - 1) == 0
        if self._types["general.alignment"] != _UINT32 or not is_power or value > _MAX_ALIGNMENT:
            raise DamagedError(
                f"its alignment is {value}, not a power of two up to {_MAX_ALIGNMENT}"
            )
        return value

    def header(self, version: int, tensors: tuple[GgufTensor, ...], file_bytes: int) -> GgufHeader:
        """The numbers by name."""
        if not self._architecture:
            raise DamagedError("it names no architecture")
        n_embd, n_head = self._number("embedding_length"), self._number("attention.head_count")
        per_head = n_embd // n_head if n_head else 0
        heads_kv = self._series("attention.head_count_kv") or (n_head,)
        file_type = self._numbers.get("general.file_type")
        vocabulary = self._number("vocab_size") or self._lengths.get("tokenizer.ggml.tokens", 0)
        return GgufHeader(
            architecture=self._architecture,
            version=version,
            n_tensors=len(tensors),
            n_layers=self._number("block_count"),
            n_ctx_train=self._number("context_length"),
            n_embd=n_embd,
            n_head=n_head,
            n_head_kv=heads_kv,
            n_vocab=vocabulary,
            key_length=self._number("attention.key_length") or per_head,
            value_length=self._number("attention.value_length") or per_head,
            file_type=file_type[0] if file_type else None,
            has_fim=self._has_fim,
            split_count=max(self._numbers.get("split.count", (0,))),
            file_bytes=file_bytes,
            texts=self._texts,
            fractions=self._fractions,
            tensors=tensors,
        )

    def _series(self, key: str) -> tuple[int, ...]:
        values = self._numbers.get(f"{self._architecture}.{key}", ())
        if any(not 0 <= value < 1 << 31 for value in values):
            raise DamagedError(f"its {key} is {values[0]}")
        return values

    def _number(self, key: str) -> int:
        return max(self._series(key), default=0)


def _read_tensors(reader: Reader, count: int, alignment: int) -> tuple[GgufTensor, ...]:
    names: set[bytes] = set()
    found: list[GgufTensor] = []
    for _ in range(count):
        name = reader.string("a tensor's name", _MAX_TENSOR_NAME_BYTES)
        if name in names:
            raise DamagedError(f"the tensor {_shown(name)} stands twice")
        names.add(name)
        dimensions, kind = _read_shape(reader, name)
        offset = reader.u64()
        if offset % alignment:
            raise DamagedError(f"the tensor {_shown(name)} is not aligned")
        elements, block = math.prod(dimensions), _BLOCKS[kind]
        size = elements // block[0] * block[1]
        found.append(GgufTensor(_decoded(name), dimensions, kind, offset, size))
    data_start = -(-reader.offset // alignment) * alignment
    end = 0
    for tensor in sorted(found, key=lambda each: (each.offset, each.size)):
        if tensor.offset < end:
            raise DamagedError("two tensors overlap")
        end = tensor.offset + tensor.size
    if found and data_start + end > reader.file_bytes:
        missing = data_start + end - reader.file_bytes
        raise DamagedError(f"its tensors go {missing} bytes beyond the end of the file")
    return tuple(replace(tensor, offset=data_start + tensor.offset) for tensor in found)


def _read_shape(reader: Reader, name: bytes) -> tuple[tuple[int, ...], int]:
    """A tensor's dimensions and its type."""
    n_dimensions = reader.u32()
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise DamagedError(f"the tensor {_shown(name)} has {n_dimensions} dimensions")
    dimensions = tuple(reader.u64() for _ in range(n_dimensions))
    for dimension in dimensions:
        if not 1 <= dimension <= _MAX_DIMENSION:
            raise DamagedError(f"the tensor {_shown(name)} has a dimension of {dimension}")
    kind = reader.u32()
    if kind not in _BLOCKS:
        raise DamagedError(f"the tensor {_shown(name)} has the unknown type {kind}")
    if dimensions[0] % _BLOCKS[kind][0]:
        raise DamagedError(f"the tensor {_shown(name)} does not fill whole blocks")
    return dimensions, kind


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise DamagedError("a name is not UTF-8 text") from None


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="replace"))
