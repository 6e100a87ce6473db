"""Tokens drawn by their probability, by llama.cpp's own samplers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from codebuddy.datatypes import GenerationSettings
from codebuddy.inference.kv_cache import KvCache
from codebuddy.inference.logits import TokenChoice, describe_choice

# Sampling above temperature 0: the usual cut of the unlikely tail.
_TOP_P = 0.95


def draw(
    llama: Any,
    context: Any,
    kv: KvCache,
    logits: Callable[[int], Any],
    settings: GenerationSettings,
) -> Iterator[TokenChoice]:
    """Tokens behind what `kv` holds, each evaluated in turn; the same for the same seed.

    Args:
        llama: The library.
        context: Its context, in which a prompt was just evaluated.
        kv: What the context holds.
        logits: Those of a row of the last batch.
        settings: Temperature and seed.
    """
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for link in (
        llama.llama_sampler_init_top_p(_TOP_P, 1),
        llama.llama_sampler_init_temp(settings.temperature),
        llama.llama_sampler_init_dist(settings.seed),
    ):
        llama.llama_sampler_chain_add(chain, link)
    has_entropy = True
    try:
        while True:
            token = int(llama.llama_sampler_sample(chain, context, -1))
            yield describe_choice(logits(-1), token, has_entropy=has_entropy)
            has_entropy = False
            kv.extend([token])
    finally:
        llama.llama_sampler_free(chain)
