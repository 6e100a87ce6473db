"""A trained adapter as a GGUF file that llama.cpp loads.

llama.cpp applies `alpha / rank` times B A; the architecture must be the base's, and rows of q and
k of the architecture llama lie in GGUF's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codebuddy.training.adapter.base_model import LINEAR


def adapter_weights(model: Any, name: str) -> dict[str, tuple[Any, Any]]:
    """A `[rank, in]` and B `[out, rank]` of each part, by its name in GGUF (`blk.0.attn_q`)."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in model.state_dict().items():
        if f".{name}." not in key or "lora_" not in key:
            continue
        parts = key.split(".")
        block = parts[parts.index("layers") + 1]
        layer = next(part for part in parts if part in LINEAR)
        side = "a" if "lora_A" in key else "b"
        place = f"blk.{block}.{LINEAR[layer]}"
        found.setdefault(place, {})[side] = value.detach().float().cpu().numpy()
    return {place: (both["a"], both["b"]) for place, both in found.items()}


def write_adapter(
    file: Path, weights: Mapping[str, tuple[Any, Any]], architecture: str, alpha: float
) -> None:
    """Write the weights in float16, whole or not at all.

    Args:
        file: Where to.
        weights: As `adapter_weights` gives them.
        architecture: Of the base, `general.architecture` in its file.
        alpha: Rank times scaling.

    Raises:
        ValueError: A weight is no finite number, or the architecture needs its rows rearranged.
    """
    import gguf
    import numpy as np

    if architecture != "qwen2":
        raise ValueError(f"adapters of the architecture {architecture} are not written yet")
    partial = file.with_name(file.name + ".partial")
    writer = gguf.GGUFWriter(partial, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
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
