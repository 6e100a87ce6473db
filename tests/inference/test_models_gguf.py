"""The header check: what a good file says, and what no file may do to this process."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy.errors import ModelError
from codebuddy.inference.gguf import read_header
from tests.support import models as support

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 5, 6, 7, 8, 9, 10
HUGE = (1 << 64) - 1


def text(value: bytes | str, length: int | None = None) -> bytes:
    """A length-prefixed string, with a false length where one is given."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def key(name: bytes | str, kind: int, value: bytes) -> bytes:
    """A key with its value."""
    return text(name) + struct.pack("<I", kind) + value


def u32(name: str, value: int) -> bytes:
    """A key with an unsigned number."""
    return key(name, U32, struct.pack("<I", value))


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    """An array's value."""
    return struct.pack("<IQ", kind, count) + items


def tensor(name: bytes | str, dimensions: list[int], kind: int, offset: int) -> bytes:
    """A tensor's description."""
    sizes = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


ARCHITECTURE = key("general.architecture", STRING, text("llama"))
ONE = tensor("a", [32], 0, 0)


def model(
    *parts: bytes,
    keys: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    magic: bytes = b"GGUF",
    version: int = 3,
    n_tensors: int | None = None,
    n_keys: int | None = None,
    data: bytes = bytes(128),
) -> bytes:
    """A whole file; the counts are true unless given."""
    keys = [ARCHITECTURE] if keys is None else keys
    tensors = [ONE] if tensors is None else tensors
    head = magic + struct.pack(
        "<IQQ",
        version,
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    body = head + b"".join(keys) + b"".join(tensors)
    return body + bytes(-len(body) % 32) + data + b"".join(parts)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "three bytes": (b"GGU", "does not begin with GGUF"),
    "only the magic": (b"GGUF", "beyond the end"),
    "wrong magic": (model(magic=b"GGML"), "does not begin with GGUF"),
    "html": (b"<!DOCTYPE html><html>404</html>", "it is an HTML page"),
    "html after a mark": (b"\xef\xbb\xbf\r\n <html>", "it is an HTML page"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(100), "does not begin with GGUF"),
    "zip": (b"PK\x03\x04" + bytes(100), "does not begin with GGUF"),
    "version 0": (model(version=0), "version is 0"),
    "version 1": (model(version=1), "version is 1"),
    "version 4": (model(version=4), "version is 4"),
    "other byte order": (model(version=3 << 24), "version is 50331648"),
    "2^63 tensors": (model(n_tensors=1 << 63), "claims 9223372036854775808 tensors"),
    "2^63 keys": (model(n_keys=1 << 63), "claims 9223372036854775808 keys"),
    "more tensors than there are": (model(n_tensors=7), "dimensions|beyond|claims"),
    "more keys than there are": (model(n_keys=5), "unknown type|beyond|no name|claims"),
    "a key of 2^64 bytes": (model(keys=[text(b"k", HUGE)]), "a key claims to be"),
    "a key beyond the end": (model(keys=[text(b"k", 60000)]), "beyond the end"),
    "a key without a name": (model(keys=[u32("", 1)]), "no name"),
    "a key that is not text": (
        model(keys=[key(b"\xff\xfe", U8, b"\0")]),
        "a name is not UTF-8",
    ),
    "a key twice": (model(keys=[ARCHITECTURE, ARCHITECTURE]), "stands twice"),
    "an unknown key type": (model(keys=[key("k", 13, b"")]), "unknown type 13"),
    "a huge key type": (model(keys=[key("k", (1 << 32) - 1, b"")]), "unknown type"),
    "a text of 2^64 bytes": (model(keys=[key("k", STRING, text(b"", HUGE))]), "claims to be"),
    "a text beyond the end": (model(keys=[key("k", STRING, text(b"", 500))]), "claims to be"),
    "2^63 texts": (model(keys=[key("k", ARRAY, array(STRING, 1 << 63))]), "claims .* texts"),
    "texts beyond the end": (
        model(keys=[key("k", ARRAY, array(STRING, 9, text(b"", 1 << 62)))]),
        "beyond the end",
    ),
    "a list of texts whose last is 2^64 bytes": (
        model(keys=[key("k", ARRAY, array(STRING, 2, text("a") + text(b"", HUGE)))]),
        "beyond the end",
    ),
    "2^62 numbers": (model(keys=[key("k", ARRAY, array(U64, 1 << 62))]), "claims .* numbers"),
    "numbers beyond the end": (model(keys=[key("k", ARRAY, array(U8, 200))]), "beyond|claims"),
    "lists in a list": (model(keys=[key("k", ARRAY, array(ARRAY, 1))]), "holds lists"),
    "a list of unknown type": (model(keys=[key("k", ARRAY, array(99, 1))]), "unknown type 99"),
    "no architecture": (model(keys=[]), "names no architecture"),
    "an architecture that is a number": (
        model(keys=[u32("general.architecture", 1)]),
        "names no architecture",
    ),
    "alignment 0": (model(keys=[ARCHITECTURE, u32("general.alignment", 0)]), "alignment is 0"),
    "alignment 3": (model(keys=[ARCHITECTURE, u32("general.alignment", 3)]), "alignment is 3"),
    "alignment 2^31": (
        model(keys=[ARCHITECTURE, u32("general.alignment", 1 << 31)]),
        "alignment is 2147483648",
    ),
    "alignment as a text": (
        model(keys=[ARCHITECTURE, key("general.alignment", STRING, text("32"))]),
        "alignment is 0",
    ),
    "a negative block count": (
        model(keys=[ARCHITECTURE, key("llama.block_count", I32, struct.pack("<i", -1))]),
        "block_count is -1",
    ),
    "a block count of 2^63": (
        model(keys=[ARCHITECTURE, key("llama.block_count", U64, struct.pack("<Q", 1 << 63))]),
        "block_count is",
    ),
    "no dimension": (model(tensors=[tensor("a", [], 0, 0)]), "has 0 dimensions"),
    "five dimensions": (model(tensors=[tensor("a", [1] * 5, 0, 0)]), "has 5 dimensions"),
    "2^32 dimensions": (
        model(tensors=[text("a") + struct.pack("<I", (1 << 32) - 1)]),
        "has 4294967295 dimensions",
    ),
    "a dimension of 0": (model(tensors=[tensor("a", [0], 0, 0)]), "a dimension of 0"),
    "a dimension of 2^63": (model(tensors=[tensor("a", [1 << 63], 0, 0)]), "a dimension of"),
    "dimensions that overflow": (
        model(tensors=[tensor("a", [1 << 40] * 4, 0, 0)]),
        "beyond the end of the file",
    ),
    "an unknown tensor type": (model(tensors=[tensor("a", [32], 200, 0)]), "unknown type 200"),
    "a removed tensor type": (model(tensors=[tensor("a", [32], 4, 0)]), "unknown type 4"),
    "a block that is not whole": (model(tensors=[tensor("a", [31], 2, 0)]), "whole blocks"),
    "an offset beyond the end": (
        model(tensors=[tensor("a", [32], 0, 1 << 32)]),
        "beyond the end of the file",
    ),
    "an offset near 2^64": (
        model(tensors=[tensor("a", [32], 0, (1 << 64) - 32)]),
        "beyond the end of the file",
    ),
    "a crooked offset": (model(tensors=[tensor("a", [32], 0, 7)]), "not aligned"),
    "tensors that overlap": (
        model(tensors=[ONE, tensor("b", [32], 0, 32)]),
        "overlap",
    ),
    "a tensor twice": (model(tensors=[ONE, tensor("a", [32], 0, 128)]), "stands twice"),
    "a tensor's long name": (model(tensors=[tensor("a" * 64, [32], 0, 0)]), "64 bytes long"),
    "data cut off": (model(data=bytes(127)), "go 1 bytes beyond the end"),
    "escape in a tensor's name": (
        model(tensors=[tensor("\x1b]52;c;x\x07", [0], 0, 0)]),
        r"'\\x1b\]52;c;x\\x07'",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_header_is_refused(name: str, tmp_path: Path) -> None:
    """A header that breaks a rule is refused with a sentence that says which one."""
    content, reason = HOSTILE[name]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason) as raised:
        read_header(path)
    assert str(path) in raised.value.message


def test_the_builder_makes_a_good_file(tmp_path: Path) -> None:
    """The same builder without a fault makes a file that is accepted: the faults are the cause."""
    path = tmp_path / "good.gguf"
    for version in (2, 3):
        path.write_bytes(model(version=version))
        assert read_header(path).version == version


def test_header_of_a_reference_file(tmp_path: Path) -> None:
    """What the reference writer wrote is read back."""
    path = tmp_path / "model.gguf"
    content = support.write_gguf(path)
    header = read_header(path)
    assert header.architecture == "llama"
    assert header.n_tensors == 2
    assert (header.n_layers, header.n_ctx_train, header.n_embd) == (2, 512, 64)
    assert (header.n_head, header.n_head_kv, header.n_vocab) == (4, (2,), 5)
    assert (header.key_length, header.value_length) == (16, 16)
    assert header.file_type == 0
    assert header.has_fim
    assert header.file_bytes == len(content)


def test_memory_of_keys_and_values(tmp_path: Path) -> None:
    """The bytes per token are layers x heads x (key + value) x 2, also with heads per layer."""
    path = tmp_path / "model.gguf"
    support.write_gguf(path)
    assert read_header(path).kv_bytes_per_token == 2 * 2 * (16 + 16) * 2
    heads = array(I32, 3, struct.pack("<3i", 4, 0, 1))
    path.write_bytes(
        model(
            keys=[
                ARCHITECTURE,
                u32("llama.block_count", 3),
                u32("llama.attention.key_length", 8),
                u32("llama.attention.value_length", 4),
                key("llama.attention.head_count_kv", ARRAY, heads),
            ]
        )
    )
    assert read_header(path).kv_bytes_per_token == 5 * 12 * 2


def test_mutations_never_escape(tmp_path: Path) -> None:
    """300 seeded mutations of a valid file each give a header or a ModelError, nothing else."""
    path = tmp_path / "model.gguf"
    original = support.write_gguf(path, data_bytes=256)
    source = random.Random(40)
    outcomes = {"header": 0, "refused": 0}
    for _ in range(300):
        mutated = bytearray(original)
        for _ in range(source.randrange(1, 6)):
            position = source.randrange(len(mutated) - 8)
            kind = source.randrange(4)
            if kind == 0:
                mutated[position] ^= 1 << source.randrange(8)
            elif kind == 1:
                mutated[position : position + 8] = struct.pack("<Q", source.getrandbits(64))
            elif kind == 2:
                mutated[position : position + 8] = b"\xff" * 8
            else:
                del mutated[source.randrange(20, len(mutated)) :]
                mutated += bytes(16)
        path.write_bytes(mutated)
        try:
            assert read_header(path).architecture
            outcomes["header"] += 1
        except ModelError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 100
    assert outcomes["header"] > 0


def test_truncations_never_escape(tmp_path: Path) -> None:
    """A file cut at any byte of its header is refused."""
    path = tmp_path / "model.gguf"
    original = support.write_gguf(path, data_bytes=256)
    for length in range(len(original)):
        path.write_bytes(original[:length])
        with pytest.raises(ModelError):
            read_header(path)


@pytest.mark.process
def test_memory_is_bounded(tmp_path: Path) -> None:
    """A sparse 8 GB file whose header claims gigabytes is refused within 300 MB of memory."""
    path = tmp_path / "sparse.gguf"
    claims = model(keys=[key("k", ARRAY, array(U64, 1 << 29))])
    with path.open("wb") as stream:
        stream.write(claims)
        stream.truncate(8 << 30)
    program = (
        "import sys, resource\n"
        "from pathlib import Path\n"
        "from codebuddy.inference.gguf import read_header\n"
        "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        "try:\n    read_header(Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=support.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("ModelError")
    assert "larger than 64 MiB" in done.stdout


def test_many_empty_texts_are_refused(tmp_path: Path) -> None:
    """Millions of empty texts, each honest, are refused before they are walked."""
    path = tmp_path / "sparse.gguf"
    head = model(keys=[ARCHITECTURE, key("k", ARRAY, array(STRING, 5_000_000))], data=b"")
    path.write_bytes(head)
    os.truncate(path, 60 << 20)
    with pytest.raises(ModelError, match="claims 5000000 texts"):
        read_header(path)


def test_special_files_do_not_block(tmp_path: Path) -> None:
    """A FIFO, a folder and a missing file are refused at once."""
    fifo = tmp_path / "fifo.gguf"
    os.mkfifo(fifo)
    with pytest.raises(ModelError, match="not a regular file"):
        read_header(fifo)
    with pytest.raises(ModelError, match="not a regular file"):
        read_header(tmp_path)
    with pytest.raises(ModelError, match="No such file"):
        read_header(tmp_path / "missing.gguf")
    with pytest.raises(ModelError, match="null"):
        read_header(Path("a\0b.gguf"))
