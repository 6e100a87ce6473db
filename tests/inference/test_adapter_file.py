"""Adapter files: each bad one is refused in a sentence, before llama.cpp sees it."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
import pytest

from codebuddy.errors import ModelError
from codebuddy.inference import adapter as adapter_file
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.gguf import read_header
from tests.support.tiny_model import HIDDEN, write_base, write_random_adapter

PLACE = "blk.0.attn_q"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The header of a tiny model."""
    return read_header(write_base(tmp_path_factory.mktemp("base") / "tiny.gguf"))


def write(file, weights, *, architecture="qwen2", kind="adapter", type_="lora", alpha=8.0):
    """An adapter with whatever is wrong with it; tensors by their whole names."""
    import gguf

    writer = gguf.GGUFWriter(file, architecture)
    if kind:
        writer.add_type(kind)
    if type_:
        writer.add_string("adapter.type", type_)
    if isinstance(alpha, float):
        writer.add_float32("adapter.lora.alpha", alpha)
    elif alpha is not None:
        writer.add_string("adapter.lora.alpha", alpha)
    for name, values in weights.items():
        writer.add_tensor(name, np.asarray(values, dtype=getattr(values, "dtype", np.float16)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def one_pair(rank=4, rows=HIDDEN, columns=HIDDEN, place=PLACE, dtype=np.float16):
    """A and B of one place."""
    a = np.full((rank, columns), 0.5, dtype)
    return {f"{place}.weight.lora_a": a, f"{place}.weight.lora_b": np.ones((rows, rank), dtype)}


def test_a_good_adapter_is_read(tmp_path, base):
    """Digest, size, rank and alpha are those of the file."""
    file = write_random_adapter(tmp_path / "good.gguf")
    found = read_adapter(file, base)
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (found.name, found.path, found.size) == ("good", file, file.stat().st_size)
    assert (found.rank, found.alpha) == (4, 8.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_numbers_may_be_of_either_width(tmp_path, base, dtype):
    """Up to the bound; beyond it, not."""
    weights = one_pair(dtype=dtype)
    name = f"{PLACE}.weight.lora_a"
    weights[name][0, 0] = -1000
    assert read_adapter(write(tmp_path / "a.gguf", weights), base).rank == 4
    for bad in (1001, -np.inf, np.nan):
        weights[name][0, 0] = bad
        with pytest.raises(ModelError, match=r"attn_q\.weight\.lora_a holds a number"):
            read_adapter(write(tmp_path / "b.gguf", weights), base)


def without(side):
    """A pair of which one is missing."""
    return {name: v for name, v in one_pair().items() if not name.endswith(side)}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "no adapter": ({"kind": "model"}, "does not say that it is an adapter"),
    "no type": ({"kind": ""}, "does not say that it is an adapter"),
    "another type": ({"type_": "control"}, "does not say that it is an adapter"),
    "another architecture": ({"architecture": "llama"}, "architecture 'llama', not qwen2"),
    "no alpha": ({"alpha": None}, "has no adapter.lora.alpha"),
    "alpha a text": ({"alpha": "8"}, "has no adapter.lora.alpha"),
    "alpha nought": ({"alpha": 0.0}, "its alpha is 0.0"),
    "alpha negative": ({"alpha": -8.0}, "its alpha is -8.0"),
    "alpha no number": ({"alpha": float("nan")}, "its alpha is nan"),
    "alpha infinite": ({"alpha": float("inf")}, "its alpha is inf"),
    "nothing": ({"weights": {}}, "it changes nothing"),
    "a stranger": ({"weights": one_pair() | {"x": np.ones(4, np.float16)}}, "'x' is no part"),
    "no A": ({"weights": without("a")}, "has only one of A and B"),
    "no B": ({"weights": without("b")}, "has only one of A and B"),
    "a block too many": (
        {"weights": one_pair(place="blk.7.attn_q")},
        "no weight 'blk.7.attn_q.weight'",
    ),
    "a part unheard of": ({"weights": one_pair(place="blk.0.gate")}, "no weight 'blk.0.gate"),
    "a norm": ({"weights": one_pair(place="blk.0.attn_norm")}, "no weight 'blk.0.attn_norm"),
    "the embedding": ({"weights": one_pair(place="token_embd")}, "no weight 'token_embd"),
    "rows": ({"weights": one_pair(rows=HIDDEN + 1)}, "changes 64 x 65 numbers"),
    "columns": ({"weights": one_pair(columns=HIDDEN - 2)}, "changes 62 x 64 numbers"),
    "two ranks": (
        {"weights": one_pair() | {f"{PLACE}.weight.lora_b": np.ones((HIDDEN, 5), np.float16)}},
        "rank 4 in A and 5 in B",
    ),
    "rank": ({"weights": one_pair(rank=1025)}, "has rank 1025, more than 1024"),
    "whole numbers": ({"weights": one_pair(dtype=np.int32)}, "neither float32, float16"),
    "a dimension": (
        {"weights": one_pair() | {f"{PLACE}.weight.lora_a": np.ones((2, 4, 64), np.float16)}},
        "has 3 dimensions",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_bad_adapter_is_refused(tmp_path, base, case):
    """In one sentence that names the file, with a remedy."""
    options, said = CASES[case]
    file = write(tmp_path / "bad.gguf", options.get("weights", one_pair()), **_without(options))
    with pytest.raises(ModelError) as caught:
        read_adapter(file, base)
    assert str(file) in caught.value.message
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert "model.adapter" in caught.value.hint


def _without(options):
    return {name: value for name, value in options.items() if name != "weights"}


def test_what_is_no_gguf_file_is_refused(tmp_path, base):
    """Foreign, empty, truncated anywhere, a folder, a pipe, missing."""
    good = write_random_adapter(tmp_path / "good.gguf").read_bytes()
    bad = tmp_path / "bad.gguf"
    for content in (b"", b"PK\3\4" * 100, *(good[: len(good) * n // 7] for n in range(1, 7))):
        bad.write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.gguf is not a usable adapter: ") as caught:
            read_adapter(bad, base)
        assert "model.adapter" in caught.value.hint
    bad.unlink()
    os.mkfifo(bad)
    for path in (bad, tmp_path, tmp_path / "missing.gguf"):
        with pytest.raises(ModelError, match=path.name) as caught:
            read_adapter(path, base)
        assert "model.adapter" in caught.value.hint


def test_each_flipped_byte_of_the_header_is_refused_or_harmless(tmp_path, base):
    """Nothing but a ModelError comes out, whatever stands there."""
    good = write(tmp_path / "good.gguf", one_pair()).read_bytes()
    end = good.index(b"lora_b") + 40
    bad = tmp_path / "bad.gguf"
    refused = 0
    for at in range(end):
        for value in (0, 255):
            bad.write_bytes(good[:at] + bytes([value]) + good[at + 1 :])
            try:
                read_adapter(bad, base)
            except ModelError:
                refused += 1
    assert refused > end


def test_a_file_beyond_the_bound_is_not_read(tmp_path, base, monkeypatch):
    """Its size is looked at first; the bound is above any adapter of the default model."""
    file = write_random_adapter(tmp_path / "a.gguf")
    assert adapter_file.MAX_BYTES > 200 << 20
    monkeypatch.setattr(adapter_file, "MAX_BYTES", file.stat().st_size - 1)
    with pytest.raises(ModelError, match="it is larger than"):
        read_adapter(file, base)


def test_another_base_refuses_it(tmp_path, base):
    """Another architecture with the same shapes."""
    file = write_random_adapter(tmp_path / "a.gguf")
    other = read_header(write_base(tmp_path / "llama.gguf", architecture="llama"))
    with pytest.raises(ModelError, match="architecture 'qwen2', not llama"):
        read_adapter(file, other)
    assert read_adapter(file, base).size < 100_000
