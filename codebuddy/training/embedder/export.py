"""A trained table of vectors -> a folder in sentence-transformers' StaticEmbedding format.

Rows are kept in one byte a number, with one scale a row: the format's own fields for
quantized tables (`embeddings`, `weights`). It knows nothing of training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"},
    {
        "idx": 1,
        "name": "1",
        "path": "1_Normalize",
        "type": "sentence_transformers.models.Normalize",
    },
]


def quantize(rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Rows of `[tokens, dim]` as int8 and the scale of each, so that `int8 * scale` is near it."""
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    safe = np.where(scales > 0, scales, 1)
    return np.rint(rows / safe[:, None]).astype(np.int8), scales


def write_model(folder: Path, tokenizer: Any, rows: npt.NDArray[np.float32]) -> None:
    """Write the model that `SentenceTransformer(folder)` and `StaticEncoder.open` read.

    Args:
        folder: Where; created if it is not there. What it holds of a model is overwritten.
        tokenizer: A `tokenizers.Tokenizer` with as many tokens as `rows` has rows.
        rows: The tokens' vectors, whose mean is a text's vector.
    """
    from safetensors.numpy import save

    values, scales = quantize(rows)
    (folder / "1_Normalize").mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(save({"embeddings": values, "weights": scales}))
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    _write_json(folder / "modules.json", _MODULES)
    _write_json(folder / "1_Normalize" / "config.json", {})
    _write_json(
        folder / "config_sentence_transformers.json",
        {"model_type": "SentenceTransformer", "similarity_fn_name": "cosine"},
    )


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
