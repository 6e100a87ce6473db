"""How much of this machine a model may use: threads, GPU layers, memory.

Decides from facts that it is given; it loads nothing and knows no runtime.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from codebuddy import platforms
from codebuddy.errors import ModelError
from codebuddy.inference.gguf import GgufHeader

# llama.cpp keeps a graph and scratch buffers beside weights and KV cache: about one
# float32 logits row per token of a physical batch, and a few hundred bytes per activation.
_SCRATCH_BYTES = 96 << 20
# Left free on a GPU for its driver and for other programs.
_GPU_RESERVE_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """A GPU that the runtime can use, with its memory in bytes."""

    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What the memory of a model depends on; `kv_bytes_per_token` counts keys and values."""

    file_bytes: int
    n_layers: int
    n_vocab: int
    kv_bytes_per_token: int


def shape_of(header: GgufHeader) -> ModelShape:
    """The shape from a model file's header."""
    return ModelShape(header.file_bytes, header.n_layers, header.n_vocab, header.kv_bytes_per_token)


def choose_context(requested: int, header: GgufHeader) -> int:
    """Tokens of context: what was asked for, as far as the model was trained for it."""
    return min(requested, header.n_ctx_train or requested)


def choose_threads(requested: int) -> int:
    """Threads for the model: what was asked, else one per physical core that we may run on.

    Hyper-threads compete for the vector units that matrix products live on.
    """
    if requested > 0:
        return requested
    import psutil

    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else physical
    return max(1, min(physical, allowed))


def choose_batch_tokens(gpu_layers: int, n_ctx: int) -> int:
    """Tokens evaluated by one call.

    On a CPU larger batches gain nothing, and what a cancelled call had begun is lost; a GPU
    is only busy with more.
    """
    return min(512 if gpu_layers else 128, n_ctx)


def threads_while_typing(threads: int) -> int:
    """Threads while a person types: one fewer, so that the editor keeps a core of its own.

    With two, one fewer would halve the speed, and the system shares well enough.
    """
    return threads - 1 if threads > 2 else threads


def needed_bytes(shape: ModelShape, n_ctx: int, n_batch: int) -> int:
    """Peak memory of the loaded model: weights, KV cache, logits of a batch, scratch.

    On a CPU the cache's keys take 16 bits and its values 32. All slots share the `n_ctx` cells.
    """
    return (
        shape.file_bytes
        + shape.kv_bytes_per_token * 3 // 2 * n_ctx
        + 4 * shape.n_vocab * n_batch
        + _SCRATCH_BYTES
    )


def choose_gpu_layers(
    requested: int, shape: ModelShape, n_ctx: int, devices: Sequence[GpuDevice]
) -> int:
    """Layers to put on the GPUs.

    Args:
        requested: -1 for as many as fit; otherwise taken as it is, up to the model's layers.
        shape: The model's size.
        n_ctx: Tokens of context, whose keys and values live beside their layer.
        devices: The GPUs that the runtime can use; none means 0 layers.

    Returns:
        Between 0 and `n_layers + 1`, where the last one stands for the output layer.
    """
    if not devices:
        return 0
    every = shape.n_layers + 1
    if requested >= 0:
        return min(requested, every)
    per_layer = (shape.file_bytes + shape.kv_bytes_per_token * n_ctx) / max(1, shape.n_layers)
    room = sum(max(0, device.free_bytes - _GPU_RESERVE_BYTES) for device in devices)
    fitting = int(room // max(1.0, per_layer))
    return every if fitting >= every else fitting


def available_bytes() -> int:
    """Memory that this process may still take: the machine's, or its control group's if less."""
    import psutil

    available = int(psutil.virtual_memory().available)
    allowed = platforms.memory_left_by_control_group()
    return available if allowed is None else min(available, allowed)


def check_memory(name: str, needed: int, available: int) -> None:
    """Refuse a model that would drive the machine into swapping.

    Raises:
        ModelError: More is needed than available; suggests a smaller context or model.
    """
    if needed > available:
        raise ModelError(
            f"{name} needs about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB "
            "are available",
            hint="close something, set model.n_ctx lower, or use a smaller model: "
            "codebuddy models list",
        )
