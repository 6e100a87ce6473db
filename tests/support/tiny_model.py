"""A model of two layers with random weights, a vocabulary of bytes and FIM tokens; its adapters.

It answers in milliseconds, and nonsense: for what does not depend on what a text says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from codebuddy.training.adapter.export import write_adapter

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS = 64, 96, 2, 4, 2
_KV_WIDTH = HIDDEN * KV_HEADS // HEADS
_SPECIAL = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>")
_END = "<|endoftext|>"
N_TOKENS = 256 + len(_SPECIAL) + 1
# Rows and columns of what an adapter may change.
PARTS = {
    "attn_q": (HIDDEN, HIDDEN),
    "attn_k": (_KV_WIDTH, HIDDEN),
    "attn_v": (_KV_WIDTH, HIDDEN),
    "attn_output": (HIDDEN, HIDDEN),
    "ffn_gate": (INNER, HIDDEN),
    "ffn_up": (INNER, HIDDEN),
    "ffn_down": (HIDDEN, INNER),
}


def byte_tokens() -> list[str]:
    """The 256 bytes as GPT-2's vocabulary spells them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled = {byte: chr(byte) for byte in plain}
    others = [byte for byte in range(256) if byte not in spelled]
    spelled |= {byte: chr(256 + at) for at, byte in enumerate(others)}
    return [spelled[byte] for byte in range(256)]


def write_base(file: Path, *, architecture: str = "qwen2", seed: int = 0) -> Path:
    """Write the model."""
    import gguf

    tokens = [*byte_tokens(), *_SPECIAL, _END]
    special = [gguf.TokenType.CONTROL] * (len(_SPECIAL) + 1)
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(2048)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + special)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(len(tokens) - 1)
    for at, name in enumerate(("pre", "suf", "mid", "rep", "sep")):
        writer.add_uint32(f"tokenizer.ggml.fim_{name}_token_id", 256 + at)
    _add_weights(writer, architecture, len(tokens), seed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_weights(writer, architecture: str, n_tokens: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        values = rng.standard_normal(shape) * (0.3 if len(shape) == 2 else 0.1)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", n_tokens, HIDDEN)
    add("output.weight", n_tokens, HIDDEN)
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    for block in range(LAYERS):
        for part, (rows, columns) in PARTS.items():
            add(f"blk.{block}.{part}.weight", rows, columns)
            if architecture == "qwen2" and part in ("attn_q", "attn_k", "attn_v"):
                add(f"blk.{block}.{part}.bias", rows)
        for part in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{block}.{part}.weight", np.ones(HIDDEN, np.float32))


def random_weights(seed: int = 1, rank: int = 4, scale: float = 0.3):
    """A and B of every part, by their place."""
    rng = np.random.default_rng(seed)
    return {
        f"blk.{block}.{part}": (
            rng.standard_normal((rank, columns)) * scale,
            rng.standard_normal((rows, rank)) * scale,
        )
        for block in range(LAYERS)
        for part, (rows, columns) in PARTS.items()
    }


def write_random_adapter(file: Path, seed: int = 1, **options) -> Path:
    """Write an adapter of the model that changes nearly every text."""
    write_adapter(file, random_weights(seed, **options), "qwen2", 8.0)
    return file


def fim_prompt(generator, prefix: str = "def add(a, b):\n    ", suffix: str = "\n\nadd(1, 2)\n"):
    """A prompt that asks for the middle."""
    fim = generator.fim
    before, behind = generator.tokenize(prefix), generator.tokenize(suffix)
    return [fim.prefix, *before, fim.suffix, *behind, fim.middle]
