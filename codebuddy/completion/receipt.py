"""Step 7: the suggestion and its receipt, as JSON and as lines for a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from codebuddy.completion.confidence import mean_probability
from codebuddy.datatypes import Receipt, Suggestion

if TYPE_CHECKING:
    from codebuddy.service.response import (
        AdapterResponse,
        CompletionResponse,
        DecisionResponse,
    )

# Shorter waits for the engine's turn are not worth a word.
_WAITED_MS = 100.0


def completion_response(suggestion: Suggestion) -> CompletionResponse:
    """The suggestion with the stable keys of `complete --json`."""
    receipt = suggestion.receipt
    stats = receipt.stats
    document = suggestion.document
    position = document.in_file or suggestion.position
    response: CompletionResponse = {
        "text": suggestion.text,
        "file": document.path,
        "line": position.line,
        "column": position.column,
        "model": receipt.model,
        "finish_reason": receipt.finish_reason,
        "confidence": mean_probability(stats),
        "decision": cast("DecisionResponse", dataclasses.asdict(receipt.decision)),
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
        "adapter": _adapter_response(receipt),
        "alternatives": list(suggestion.alternatives),
    }
    if document.cell:
        response["cell"] = document.cell
    return response


def _adapter_response(receipt: Receipt) -> AdapterResponse | None:
    adapter = receipt.adapter
    if adapter is None:
        return None
    return {
        "name": adapter.name,
        "sha256": adapter.sha256,
        "rank": adapter.rank,
        "in_head": receipt.is_adapter_in_head,
    }


def model_in_words(report: Mapping[str, Any]) -> str:
    """The model's name under `model`, with that of its adapter, if there is one."""
    adapter = report.get("adapter")
    return f"{report['model']} with {adapter['name']}" if adapter else str(report["model"])


def receipt_lines(answer: CompletionResponse, startup_ms: float) -> list[tuple[str, str]]:
    """The receipt as (label, text): what was decided and why, what was used, what it cost.

    Args:
        answer: As `completion_response` makes it, here or in the engine.
        startup_ms: What passed before the path began.
    """
    decision, tokens, runtime = answer["decision"], answer["tokens"], answer["runtime"]
    verdict = "looked up" if decision["retrieve"] else "not looked up"
    # There is no decision where retrieval is impossible.
    judged = "" if decision["mode"] == "never" else f"p {decision['probability']:.2f}, "
    why = f"{decision['reason']} ({judged}{decision['mode']})"
    lines = [("decision", f"{verdict}: {why}")]
    if decision.get("kept"):
        first = f"without a lookup after {decision['first_ms']:.0f} ms"
        lines.append(("texts", f"two, the first {first}; the {decision['kept']} one is kept"))
    for chunk in answer["chunks"]:
        symbol = f" {chunk['symbol']}" if chunk["symbol"] else ""
        place = f"{chunk['path']}:{chunk['start_line']}-{chunk['end_line']}"
        how = f"{chunk['channel']}, {chunk['tokens']} tokens"
        lines.append(("chunk", f"{place}{symbol} ({how})"))
    lines.append(
        (
            "tokens",
            f"{tokens['prompt']} in the prompt, {tokens['evaluated']} evaluated, "
            f"{tokens['reused']} reused, {tokens['generated']} generated",
        )
    )
    times = answer["timings_ms"]
    steps = ", ".join(f"{step} {ms:.0f}" for step, ms in times.items() if step != "total")
    waited_ms = answer["engine"]["queue_ms"] if "engine" in answer else 0.0
    waited = f", {waited_ms:.0f} of it in the queue" if waited_ms >= _WAITED_MS else ""
    started = f"after {startup_ms:.0f} to start{waited}"
    lines.append(("time", f"{times['total']:.0f} ms ({steps}), {started}"))
    if answer["filters"]:
        lines.append(("cleaned", ", ".join(answer["filters"])))
    layers = runtime.get("gpu_layers", 0)
    where = f"{runtime.get('threads')} threads, {layers} layers on the GPU"
    lines.append(("model", f"{model_in_words(answer)}, {runtime.get('backend')}, {where}"))
    if not answer["text"]:
        is_late = answer["finish_reason"] == "budget"
        written = "a line was whole" if tokens["generated"] else "the model wrote anything"
        late = f"the time was spent before {written}"
        lines.append(("empty", late if is_late else "the model had nothing to add that would hold"))
    return lines
