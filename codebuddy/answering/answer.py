"""A question and what a search found -> a short answer whose claims name their lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from codebuddy.answering.claims import NOT_FOUND, ClaimReader
from codebuddy.answering.excerpts import Excerpt, take_excerpts
from codebuddy.answering.prompt import SYSTEM, user_text
from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import ModelError, UsageError

if TYPE_CHECKING:
    from codebuddy.datatypes import Generator, OnText
    from codebuddy.service.request import AskRequest
    from codebuddy.service.response import AskResponse, AskSourceResponse

# Of the model's context: sources, and the question that may be a pasted message.
_SOURCE_TOKENS = 1_200
_QUESTION_SHARE = 4
_MAX_CLAIMS = 4
# Roles, task, marks.
_FRAME_TOKENS = 200


def answer(
    request: AskRequest,
    generator: Generator,
    cancellation: CancellationToken,
    on_text: OnText | None = None,
) -> AskResponse:
    """The answer, with the keys of `ask --json` that are not the search's.

    Args:
        request: The question and the sources, of which there is at least one.
        generator: An instruct model.
        cancellation: Ends the work at the next piece or graph node.
        on_text: Called with the answer so far while it grows, then with the final one.

    Raises:
        SupersededError: It was cancelled.
        UsageError: The question is too long for the model.
        ModelError: The model cannot hold a conversation.
        GenerationError: It failed.
    """
    started = time.perf_counter()
    excerpts, tokens = _prompt(request, generator)
    prompt_ms = (time.perf_counter() - started) * 1000
    stats = GenerationStats()
    reader = ClaimReader(excerpts, _MAX_CLAIMS)
    pieces = generator.generate(tokens, GenerationSettings(request.max_tokens), stats, cancellation)
    shown = ""
    try:
        for piece in pieces:
            cancellation.check()
            reader.feed(piece)
            if reader.is_complete:
                stats.finish_reason = "stop"
                break
            if on_text is not None and (text := reader.text()) != shown:
                shown = text
                on_text(text)
    finally:
        if (close := getattr(pieces, "close", None)) is not None:
            close()
    reader.finish(is_cut=stats.finish_reason != "stop")
    text = reader.text() or NOT_FOUND
    if on_text is not None:
        on_text(text)
    response = _response(excerpts, reader, generator, stats)
    total_ms = (time.perf_counter() - started) * 1000
    times = {"prompt": prompt_ms, "prefill": stats.prefill_ms, "generate": stats.generate_ms}
    return {**response, "answer": text, "timings_ms": {**times, "total": total_ms}}


def _response(
    excerpts: list[Excerpt], reader: ClaimReader, generator: Generator, stats: GenerationStats
) -> AskResponse:
    return {
        "answer": "",
        "found": any(each.citations for each in reader.claims),
        "claims": [
            {
                "text": each.text,
                "citations": [{"path": c.path, "line": c.line} for c in each.citations],
            }
            for each in reader.claims
        ],
        "removed": [each for claim in reader.claims for each in claim.removed],
        "sources": _sources(excerpts, reader),
        "model": generator.name,
        "finish_reason": stats.finish_reason,
        "tokens": {
            "prompt": stats.prompt_tokens,
            "evaluated": stats.evaluated_tokens,
            "reused": stats.reused_tokens,
            "generated": stats.generated_tokens,
        },
        "timings_ms": {},
        "runtime": generator.runtime,
    }


def _prompt(request: AskRequest, generator: Generator) -> tuple[list[Excerpt], list[int]]:
    """What is shown of the sources, and the conversation's tokens."""
    converse: Callable[[str, str], list[int]] | None = getattr(generator, "tokenize_chat", None)
    if converse is None:
        raise ModelError(
            f"{generator.name} is asked through a server that codebuddy does not converse with",
            hint="use --no-model for the sources alone, or leave model.url empty",
        )
    n_question = len(generator.tokenize(request.question))
    if n_question > generator.n_ctx // _QUESTION_SHARE:
        raise UsageError(
            f"the question takes {n_question} of the model's {generator.n_ctx} tokens",
            hint="ask in fewer words, or set model.n_ctx higher",
        )
    n_missing = len(generator.tokenize(", ".join(request.missing)))
    room = generator.n_ctx - request.max_tokens - _FRAME_TOKENS - n_question - n_missing
    budget = min(_SOURCE_TOKENS, room)
    excerpts = take_excerpts(request.sources, budget, lambda text: len(generator.tokenize(text)))
    return excerpts, converse(SYSTEM, user_text(excerpts, request.question, request.missing))


def _sources(excerpts: list[Excerpt], reader: ClaimReader) -> list[AskSourceResponse]:
    cited = {each.place for claim in reader.claims for each in claim.citations}
    return [
        {
            "path": each.source.path,
            "start_line": each.start,
            "end_line": each.end,
            "line": each.source.line,
            "kind": each.source.kind,
            "symbol": each.source.symbol,
            "text": "\n".join(each.lines),
            "tokens": each.tokens,
            "cited": place in cited,
        }
        for place, each in enumerate(excerpts)
    ]
