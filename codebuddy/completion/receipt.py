"""Step 7: the suggestion and its receipt, as JSON and as lines for a person."""

from __future__ import annotations

import dataclasses
from typing import Any

from codebuddy.datatypes import Suggestion


def as_dictionary(suggestion: Suggestion) -> dict[str, Any]:
    """The suggestion with the stable keys of `complete --json`."""
    receipt = suggestion.receipt
    stats = receipt.stats
    return {
        "text": suggestion.text,
        "file": suggestion.document.path,
        "line": suggestion.position.line,
        "column": suggestion.position.column,
        "model": receipt.model,
        "finish_reason": receipt.finish_reason,
        "decision": dataclasses.asdict(receipt.decision),
        "chunks": [
            {
                "path": packed.result.chunk.path,
                "start_line": packed.result.chunk.start_line,
                "end_line": packed.result.chunk.end_line,
                "symbol": packed.result.chunk.symbol,
                "score": packed.result.score,
                "channel": packed.result.channel,
                "channels": packed.result.channels,
                "tokens": packed.tokens,
            }
            for packed in receipt.chunks
        ],
        "tokens": {
            "prompt": stats.prompt_tokens,
            "evaluated": stats.evaluated_tokens,
            "reused": stats.reused_tokens,
            "generated": stats.generated_tokens,
        },
        "timings_ms": receipt.timings_ms,
        "filters": list(receipt.filters),
        "runtime": receipt.runtime,
        "alternatives": list(suggestion.alternatives),
    }


def receipt_lines(suggestion: Suggestion, startup_ms: float) -> list[tuple[str, str]]:
    """The receipt as (label, text): what was decided and why, what was used, what it cost."""
    receipt = suggestion.receipt
    decision, stats, runtime = receipt.decision, receipt.stats, receipt.runtime
    verdict = "looked up" if decision.retrieve else "not looked up"
    why = f"{decision.reason} (p {decision.probability:.2f}, {decision.mode})"
    lines = [("decision", f"{verdict}: {why}")]
    for packed in receipt.chunks:
        chunk = packed.result.chunk
        symbol = f" {chunk.symbol}" if chunk.symbol else ""
        place = f"{chunk.path}:{chunk.start_line}-{chunk.end_line}"
        how = f"{packed.result.channel}, {packed.tokens} tokens"
        lines.append(("chunk", f"{place}{symbol} ({how})"))
    lines.append(
        (
            "tokens",
            f"{stats.prompt_tokens} in the prompt, {stats.evaluated_tokens} evaluated, "
            f"{stats.reused_tokens} reused, {stats.generated_tokens} generated",
        )
    )
    times = receipt.timings_ms
    steps = ", ".join(f"{step} {ms:.0f}" for step, ms in times.items() if step != "total")
    lines.append(("time", f"{times['total']:.0f} ms ({steps}), after {startup_ms:.0f} to start"))
    if receipt.filters:
        lines.append(("cleaned", ", ".join(receipt.filters)))
    layers = runtime.get("gpu_layers", 0)
    where = f"{runtime.get('threads')} threads, {layers} layers on the GPU"
    lines.append(("model", f"{receipt.model}, {runtime.get('backend')}, {where}"))
    if not suggestion.text:
        lines.append(("empty", "the model had nothing to add that would hold"))
    return lines
