"""The weights of a GGUF file as a transformers model: the very ones that serve, unpacked.

Reads the file with the `gguf` package, tensor by tensor, so that nothing is converted on disk
and no tokenizer or model hub is asked. Architectures: qwen2 and llama.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from codebuddy.inference import hardware

_PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_WORKERS = 8
# For each parameter in float32 while the file is unpacked, and what training computes.
_FLOAT32_BYTES, WORKING_BYTES = 8, 1 << 30
_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
# What an adapter may act on, by its name in transformers and in GGUF.
LINEAR = {
    name.rpartition(".")[2]: part for part, name in _PARTS.items() if not part.endswith("norm")
}


def load_base(file: Path, device: str = "cpu") -> Any:
    """The model of a GGUF file, in the numbers of `number_type`, without gradients.

    Raises:
        ValueError: Its architecture is not known here.
    """
    import gguf
    import numpy as np
    import torch

    reader = gguf.GGUFReader(file)
    model = _empty_model(reader)
    heads = _number(reader, "attention.head_count"), _number(reader, "attention.head_count_kv")
    is_llama = _text(reader, "general.architecture") == "llama"
    kind = number_type(device, sum(parameter.numel() for parameter in model.parameters()))

    def unpack(tensor: Any) -> tuple[str, Any]:
        values = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type)))
        name = _name(tensor.name)
        if is_llama and ".q_proj" in name:
            values = _unpermute(values, heads[0])
        elif is_llama and ".k_proj" in name:
            values = _unpermute(values, heads[1])
        return name, values.to(kind)

    with ThreadPoolExecutor(_WORKERS) as pool:
        state = dict(
            pool.map(unpack, [t for t in reader.tensors if not t.name.startswith("rope_freqs")])
        )
    if "lm_head.weight" not in state:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, assign=True, strict=True)
    return model.to(device).eval().requires_grad_(requires_grad=False)


def number_type(device: str, n_parameters: int) -> Any:
    """What a base is computed in: bfloat16 on a GPU, with AMX, and where memory is short.

    Any other CPU multiplies float32 faster, by 1.8 where it has instructions for bfloat16 and no
    AMX (docs/log.md), and needs twice the memory for it.
    """
    import torch

    # There is no public way to ask.
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    needed = _FLOAT32_BYTES * n_parameters + WORKING_BYTES
    if device != "cpu" or has_amx() or hardware.available_bytes() < needed:
        return torch.bfloat16
    return torch.float32


def _empty_model(reader: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    architecture = _text(reader, "general.architecture")
    kinds: dict[str, Any] = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
    }
    if architecture not in kinds:
        raise ValueError(f"no adapter can be trained for the architecture {architecture}")
    make_config, make_model = kinds[architecture]
    embedding = next(t for t in reader.tensors if t.name == "token_embd.weight")
    theta = float(_field(reader, "rope.freq_base"))
    config = make_config(
        vocab_size=int(embedding.shape[1]),
        hidden_size=_number(reader, "embedding_length"),
        intermediate_size=_number(reader, "feed_forward_length"),
        num_hidden_layers=_number(reader, "block_count"),
        num_attention_heads=_number(reader, "attention.head_count"),
        num_key_value_heads=_number(reader, "attention.head_count_kv"),
        max_position_embeddings=_number(reader, "context_length"),
        rms_norm_eps=float(_field(reader, "attention.layer_norm_rms_epsilon")),
        rope_theta=theta,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings=False,
        attn_implementation="sdpa",
        use_cache=True,
    )
    with torch.device("meta"):
        model = make_model(config)
    # Buffers are computed, not stored: they must not stay on the meta device.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model


def _name(tensor: str) -> str:
    parts = tensor.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{_PARTS[parts[2]]}.{parts[3]}"
    return f"{_OUTER[parts[0]]}.{parts[1]}"


def _unpermute(values: Any, heads: int) -> Any:
    """Rows of q and k in the order of transformers; GGUF holds llama's rotated pairs together."""
    rows = values.shape[0]
    shaped = values.reshape(heads, rows // heads // 2, 2, *values.shape[1:])
    return shaped.swapaxes(1, 2).reshape(values.shape)


def _field(reader: Any, key: str) -> Any:
    architecture = _text(reader, "general.architecture")
    return reader.fields[f"{architecture}.{key}"].contents()


def _number(reader: Any, key: str) -> int:
    return int(_field(reader, key))


def _text(reader: Any, key: str) -> str:
    return str(reader.fields[key].contents())
