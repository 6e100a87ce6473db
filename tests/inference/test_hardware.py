"""Choices about the machine: threads, GPU layers, memory."""

from __future__ import annotations

import pytest

from codebuddy.errors import ModelError
from codebuddy.inference.hardware import (
    GpuDevice,
    ModelShape,
    check_memory,
    choose_gpu_layers,
    choose_threads,
    needed_bytes,
)

# Qwen2.5-Coder-1.5B, Q4_K_M.
SHAPE = ModelShape(1_117_320_768, 28, 151_936, 28_672)
GIB = 1 << 30


def gpu(free_gib: float) -> GpuDevice:
    """A GPU with that much free memory."""
    return GpuDevice("GPU", int(free_gib * GIB), 24 * GIB)


@pytest.mark.parametrize(
    ("requested", "devices", "layers"),
    [
        (-1, [], 0),
        (99, [], 0),
        (-1, [gpu(8)], 29),
        (-1, [gpu(0.4)], 0),
        (-1, [gpu(1.0)], 12),
        (-1, [gpu(1.0), gpu(1.5)], 29),
        (0, [gpu(8)], 0),
        (10, [gpu(8)], 10),
        (1000, [gpu(8)], 29),
    ],
)
def test_layers_that_fit_go_to_the_gpu(requested, devices, layers):
    """All layers where they fit, else as many as do; a wish is obeyed up to the model's size."""
    assert choose_gpu_layers(requested, SHAPE, 4096, devices) == layers


def test_a_longer_context_leaves_less_room():
    """Keys and values count, so that a long context puts fewer layers on the same GPU."""
    short = choose_gpu_layers(-1, SHAPE, 1024, [gpu(1.2)])
    long = choose_gpu_layers(-1, SHAPE, 32768, [gpu(1.2)])
    assert 0 < long < short


def test_memory_counts_weights_cache_and_logits():
    """The estimate is the sum of its parts."""
    assert needed_bytes(SHAPE, 4096, 512) == (
        1_117_320_768 + 43_008 * 4096 + 4 * 151_936 * 512 + (96 << 20)
    )


def test_too_little_memory_is_refused_before_loading():
    """The refusal names need and have, and what to do."""
    with pytest.raises(ModelError) as caught:
        check_memory("big", 8_000_000_000, 2_000_000_000)
    assert "8.0 GB" in caught.value.message
    assert "2.0 GB" in caught.value.message
    assert "n_ctx" in caught.value.hint


def test_threads_as_asked_or_as_the_machine_has():
    """A number is obeyed; 0 means physical cores, at least one."""
    assert choose_threads(3) == 3
    assert choose_threads(0) >= 1
