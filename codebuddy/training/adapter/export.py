"""A trained adapter as a GGUF file that llama.cpp loads.

llama.cpp applies `alpha / rank` times B A; the architecture must be the base's, and rows of q and
k of the architecture llama lie in GGUF's order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codebuddy.private_files import write_file
from codebuddy.training.adapter.base_model import LINEAR

_INVOCATION = "adapter.alora.invocation_tokens"


def adapter_weights(model: Any, name: str) -> dict[str, tuple[Any, Any]]:
    """A `[rank, in]` and B `[out, rank]` of each part, by its name in GGUF (`blk.0.attn_q`)."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in model.state_dict().items():
        if f".{name}." not in key or "lora_" not in key:
            continue
        place, side = _place_of(key)
        found.setdefault(place, {})[side] = value.detach().float().cpu().numpy()
    return {place: (both["a"], both["b"]) for place, both in found.items()}


def take_up_weights(model: Any, name: str, file: Path, heads: tuple[int, int]) -> None:
    """Give the adapter `name` of the model the weights of a file that `write_adapter` wrote.

    B is scaled where the file has another alpha than the model, so that its effect is the file's.

    Args:
        model: With an adapter of the rank of the file's.
        name: Which one.
        file: Checked before against the base.
        heads: Of the base, for queries and for keys.

    Raises:
        ValueError: The file changes other parts, or by another rank.
    """
    import gguf
    import numpy as np
    import torch

    reader = gguf.GGUFReader(file)
    is_llama = str(reader.fields["general.architecture"].contents()) == "llama"
    held = {tensor.name: np.array(tensor.data, np.float32) for tensor in reader.tensors}
    factor = float(reader.fields["adapter.lora.alpha"].contents()) / _alpha_of(model, name)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if f".{name}." not in key or "lora_" not in key:
                continue
            place, side = _place_of(key)
            values = held.pop(f"{place}.weight.lora_{side}", None)
            if values is not None and is_llama and side == "b":
                values = _unpermuted(place, values, heads)
            if values is None or values.shape != tuple(parameter.shape):
                raise ValueError(f"{file} does not change {place} as this training does")
            parameter.copy_(torch.from_numpy(values if side == "a" else values * factor))
    if held:
        raise ValueError(f"{file} changes {next(iter(held))}, which this training does not")


def _alpha_of(model: Any, name: str) -> float:
    """Rank times scaling of an adapter of a model, which all its layers share."""
    layers = (each for each in model.modules() if hasattr(each, "lora_A") and name in each.lora_A)
    layer = next(layers)
    return float(layer.r[name] * layer.scaling[name])


def read_matrices(file: Path) -> dict[str, tuple[Any, Any]]:
    """A and B of each part of a file that `write_adapter` wrote, rows in GGUF's order."""
    import gguf
    import numpy as np

    held = {each.name: np.array(each.data) for each in gguf.GGUFReader(file).tensors}
    places = sorted({name.partition(".weight.lora_")[0] for name in held})
    return {
        place: (held[f"{place}.weight.lora_a"], held[f"{place}.weight.lora_b"]) for place in places
    }


def _place_of(key: str) -> tuple[str, str]:
    """The part that a weight of an adapter changes, by its name in GGUF, and `a` or `b`."""
    parts = key.split(".")
    block = parts[parts.index("layers") + 1]
    layer = next(part for part in parts if part in LINEAR)
    return f"blk.{block}.{LINEAR[layer]}", "a" if "lora_A" in key else "b"


def write_adapter(
    file: Path,
    weights: Mapping[str, tuple[Any, Any]],
    architecture: str,
    alpha: float,
    heads: tuple[int, int] | None = None,
    *,
    is_permuted: bool = False,
    middle: int | None = None,
) -> None:
    """Write the weights in float16, whole or not at all.

    Args:
        file: Where to.
        weights: As `adapter_weights` gives them.
        architecture: Of the base, `general.architecture` in its file.
        alpha: Rank times scaling.
        heads: Of the base, for queries and for keys; needed where GGUF holds their rows in
            another order than transformers does.
        is_permuted: Whether the rows are in GGUF's order already, as `read_matrices` gives them.
        middle: The token that asks for the middle, from which on it acts: llama-server reads it.

    Raises:
        ValueError: A weight is no finite number, or the architecture is not known here.
    """
    import gguf
    import numpy as np

    if architecture not in ("qwen2", "llama"):
        raise ValueError(f"adapters of the architecture {architecture} are not written yet")
    if architecture == "llama" and not is_permuted:
        if heads is None:
            raise ValueError("the architecture llama needs the numbers of heads")
        weights = {place: _permuted(place, both, heads) for place, both in weights.items()}
    partial = file.with_name(file.name + ".partial")
    writer = gguf.GGUFWriter(partial, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    if middle is not None:
        kinds = gguf.GGUFValueType
        # Of whole numbers the writer would make int32, which llama.cpp refuses there.
        writer.add_key_value(_INVOCATION, [middle], kinds.ARRAY, sub_type=kinds.UINT32)
    for place, (a, b) in weights.items():
        for side, values in (("a", a), ("b", b)):
            halves = values.astype(np.float16)
            if not np.isfinite(halves).all():
                raise ValueError(f"{place} has a weight that is no finite number")
            writer.add_tensor(f"{place}.weight.lora_{side}", halves)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(file)


def write_card(
    file: Path,
    bases: Sequence[str],
    rank: int,
    alpha: float,
    made_by: Mapping[str, Any],
    figures: Mapping[str, Any],
) -> Path:
    """Write the card of the adapter in `file` beside it, whole or not at all, for its owner alone.

    Args:
        file: The adapter.
        bases: SHA-256 of each file whose weights it changes.
        rank: Of its matrices, the largest.
        alpha: As in the file.
        made_by: How it was made: data, steps, rate.
        figures: What it is worth, and measured on what.
    """
    card = {
        "format": "codebuddy-adapter",
        "version": 1,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bases": list(bases),
        "rank": rank,
        "alpha": alpha,
        "activated": True,
        "made_by": dict(made_by),
        "figures": dict(figures),
    }
    card_file = file.with_suffix(".json")
    write_file(card_file, (json.dumps(card, indent=1) + "\n").encode("ascii"))
    return card_file


def _permuted(place: str, both: tuple[Any, Any], heads: tuple[int, int]) -> tuple[Any, Any]:
    """B's rows in GGUF's order, which holds the rotated pairs of q and k together."""
    a, b = both
    part = place.rpartition(".")[2]
    if part not in ("attn_q", "attn_k"):
        return a, b
    n_heads = heads[0] if part == "attn_q" else heads[1]
    shaped = b.reshape(n_heads, 2, b.shape[0] // n_heads // 2, *b.shape[1:])
    return a, shaped.swapaxes(1, 2).reshape(b.shape)


def _unpermuted(place: str, b: Any, heads: tuple[int, int]) -> Any:
    """B's rows in the order of transformers: what `_permuted` did, undone."""
    part = place.rpartition(".")[2]
    if part not in ("attn_q", "attn_k"):
        return b
    n_heads = heads[0] if part == "attn_q" else heads[1]
    shaped = b.reshape(n_heads, b.shape[0] // n_heads // 2, 2, *b.shape[1:])
    return shaped.swapaxes(1, 2).reshape(b.shape)
