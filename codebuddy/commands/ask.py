"""`codebuddy ask`: a question -> what a search found, and a short answer that names its lines."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codebuddy.answering.claims import NOT_FOUND
from codebuddy.commands.search_view import note_readings
from codebuddy.service.request import (
    MAX_QUESTION_CHARACTERS,
    MAX_SOURCES,
    AskRequest,
    AskSource,
    SearchRequest,
)
from codebuddy.terminal import (
    StatusLine,
    answer,
    answer_json,
    counted,
    listed,
    note,
    note_styled,
    safe_line,
    safe_text,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codebuddy.service.client import CompletionClient
    from codebuddy.service.response import (
        AskResponse,
        AskSourceResponse,
        MissingWord,
        SearchHit,
        SearchResponse,
    )

# Of one file; a question is rarely answered by one file's every function.
_MAX_PER_FILE = 3


@click.command(
    "ask",
    help="Answer a question from the repository's code; every claim names FILE:LINE.",
    epilog="Example: codebuddy ask where are access tokens renewed",
)
@click.argument("question_words", metavar="QUESTION...", nargs=-1, required=True)
@click.option(
    "-k",
    "top_k",
    type=click.IntRange(1, MAX_SOURCES),
    default=6,
    metavar="N",
    help="Sources at most (6).",
)
@click.option("--near", metavar="FILE", help="The file that the question comes from.")
@click.option(
    "--max-tokens",
    type=click.IntRange(8, 2048),
    default=160,
    metavar="N",
    help="Tokens of the answer at most (160).",
)
@click.option(
    "--model", metavar="NAME|PATH", help="An instruct model of the catalog, or a GGUF file."
)
@click.option("--no-model", is_flag=True, help="Print the sources only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--no-update", is_flag=True, help="Search the index as it stands.")
@click.option("--no-engine", is_flag=True, help="Do it in this process, without the engine.")
def command(
    question_words: tuple[str, ...],
    top_k: int,
    *,
    near: str | None,
    max_tokens: int,
    model: str | None,
    no_model: bool,
    as_json: bool,
    no_update: bool,
    no_engine: bool,
) -> None:
    """Entry point of the verb."""
    from codebuddy.commands.client import open_client, warn_of_near
    from codebuddy.paths import given_file, whole_model_name

    question = _checked(" ".join(question_words))
    started = time.perf_counter()
    status = StatusLine()
    client = open_client(status, may_use_engine=not no_engine, waiting="searching")
    near = given_file(near) if near else ""
    warn_of_near(near)
    search = SearchRequest(
        str(Path.cwd()),
        question,
        top_k,
        near=near,
        max_per_file=_MAX_PER_FILE,
        should_update=not no_update,
        wants_missing=True,
    )
    with status:
        found = client.search(search)
    for warning in found.pop("warnings", []):
        note(f"warning: {safe_line(warning)}")
    note_readings(found)
    missing = found.get("missing", [])
    for warning in _missing_words(missing):
        note(f"warning: {safe_line(warning)}")
    answered: AskResponse | None = None
    printer = None if as_json else _Printer(status)
    is_vain = not found["results"] or found.get("is_about_missing", False)
    if not (no_model or is_vain):
        request = AskRequest(
            found["repository"],
            question,
            tuple(_source(hit) for hit in found["results"]),
            max_tokens,
            None if model is None else whole_model_name(model),
            missing=tuple(each["word"] for each in missing),
        )
        answered = _ask(client, request, status, printer)
    total_ms = (time.perf_counter() - started) * 1000
    if as_json:
        part: Mapping[str, Any] = answered or _unread_part(found, is_vain=is_vain)
        answer_json(_as_json(question, found, part, total_ms))
        return
    _print(found, answered, printer, total_ms, is_vain=is_vain)


def _missing_words(missing: list[MissingWord]) -> list[str]:
    """What is said of words that stand nowhere, and of those that stand in no source."""
    said = []
    for in_index, where in ((False, "nowhere in the repository"), (True, "in none of the sources")):
        words = [each["word"] for each in missing if each["in_index"] is in_index]
        if words:
            stands = "stands" if len(words) == 1 else "stand"
            said.append(f"{listed(words)} {stands} {where}")
    return said


def _checked(question: str) -> str:
    from codebuddy.errors import UsageError

    if not question.strip():
        raise UsageError("the question is empty", hint="ask something about the code")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise UsageError(
            f"the question has {len(question)} characters, and may have {MAX_QUESTION_CHARACTERS}",
            hint="ask in fewer words; 'codebuddy search' takes longer texts",
        )
    return question


def _ask(
    client: CompletionClient, request: AskRequest, status: StatusLine, printer: _Printer | None
) -> AskResponse:
    status.show(f"reading {counted(len(request.sources), 'source')}")
    with status:
        answered = client.ask(request, printer)
    for warning in answered.pop("warnings", []):
        note(f"warning: {safe_line(warning)}")
    return answered


def _source(hit: SearchHit) -> AskSource:
    return AskSource(
        hit["path"], hit["start_line"], hit["line"], hit["kind"], hit["symbol"], hit["text"]
    )


def _as_json(
    question: str, found: SearchResponse, model_part: Mapping[str, Any], total_ms: float
) -> dict[str, Any]:
    """The same keys with and without the model's part."""
    searched = found["timings_ms"]
    times = {"update": searched["update"], "search": searched["search"]}
    return {
        "question": question,
        "repository": found["repository"],
        "missing": found.get("missing", []),
        **({"read_as": found["read_as"]} if "read_as" in found else {}),
        "engine": None,
        **model_part,
        "timings_ms": times | model_part["timings_ms"] | {"total": total_ms},
    }


def _unread_part(found: SearchResponse, *, is_vain: bool) -> dict[str, Any]:
    """What stands in place of the model's part: `found` is null where nobody knows."""
    return {
        "answer": NOT_FOUND if is_vain else "",
        "found": False if is_vain else None,
        "claims": [],
        "removed": [],
        "sources": [_unread(hit) for hit in found["results"]],
        "model": None,
        "finish_reason": "",
        "tokens": {"prompt": 0, "evaluated": 0, "reused": 0, "generated": 0},
        "timings_ms": {},
        "runtime": {},
    }


def _unread(hit: SearchHit) -> AskSourceResponse:
    """A source that no model was shown."""
    return {
        "path": hit["path"],
        "start_line": hit["start_line"],
        "end_line": hit["end_line"],
        "line": hit["line"],
        "kind": hit["kind"],
        "symbol": hit["symbol"],
        "text": hit["text"],
        "tokens": 0,
        "cited": False,
    }


def _print(
    found: SearchResponse,
    answered: AskResponse | None,
    printer: _Printer | None,
    total_ms: float,
    *,
    is_vain: bool,
) -> None:
    """The answer and its sources on stdout, the receipt on stderr."""
    if not found["results"]:
        answer(NOT_FOUND)
        note(safe_line(found.get("reason") or "the search found nothing, so no model was asked"))
        return
    if answered is None:
        if is_vain:
            answer(f"{NOT_FOUND}\n\nnearest, without what is asked about:")
            why = "nothing here is near to the question" if found.get("is_far") else ""
            why = why or "the question is about what stands nowhere"
            note(f"{why}, so no model was asked")
        answer("\n".join(_place(_unread(hit)) for hit in found["results"]))
        return
    assert printer is not None
    printer.finish(answered["answer"])
    answer("\nsources, * where the answer names a line:")
    answer(
        "\n".join(f"{'*' if each['cited'] else ' '} {_place(each)}" for each in answered["sources"])
    )
    for label, text in _receipt(found, answered, total_ms):
        note_styled([styled(f"{label:>9} ", fg="cyan"), safe_line(text)])


def _place(source: AskSourceResponse) -> str:
    title = f"{source['path']}:{source['line']}"
    symbol = f"  {source['kind']} {source['symbol']}" if source["symbol"] else ""
    return safe_line(title + symbol)


def _receipt(
    found: SearchResponse, answered: AskResponse, total_ms: float
) -> list[tuple[str, str]]:
    """What the answer rests on, what was sent where, and what it cost."""
    lines = []
    if not answered["found"]:
        why = (
            "the model's answer names no line of the sources"
            if answered["claims"]
            else ("the model found nothing in the sources")
        )
        lines.append(
            ("found", f"nothing that can be relied on: {why}; read the sources themselves")
        )
    said = [
        each["word"]
        for each in found.get("missing", [])
        if not each["in_index"] and each["word"].lower() in answered["answer"].lower()
    ]
    if said:
        lines.append(
            (
                "missing",
                f"the answer speaks of {listed(said)}, of which no file does: do not trust it",
            )
        )
    if answered["removed"]:
        n_removed = counted(len(answered["removed"]), "place")
        lines.append(("removed", f"{n_removed} that the model named and was not shown"))
    tokens, runtime = answered["tokens"], answered["runtime"]
    n_lines = sum(each["end_line"] - each["start_line"] + 1 for each in answered["sources"])
    url = runtime.get("url")
    where = f"to {url}" if url else "to the model on this machine; nothing left it"
    n_sources = counted(len(answered["sources"]), "source")
    lines.append(("sent", f"{n_lines} lines of {n_sources} and the question, {where}"))
    lines.append(
        (
            "tokens",
            f"{tokens['prompt']} in the prompt, {tokens['evaluated']} evaluated, "
            f"{tokens['reused']} reused, {tokens['generated']} generated"
            + (", cut at the limit" if answered["finish_reason"] == "length" else ""),
        )
    )
    times = {**found["timings_ms"], **answered["timings_ms"]}
    steps = ", ".join(f"{step} {ms:.0f}" for step, ms in times.items() if step != "total")
    lines.append(("time", f"{total_ms:.0f} ms ({steps})"))
    lines.append(("model", f"{answered['model']}, {runtime.get('backend')}"))
    return lines


class _Printer:
    """Prints what was added to a growing answer; what was printed is never taken back."""

    def __init__(self, status: StatusLine) -> None:
        self._status = status
        self._printed = ""

    def __call__(self, text: str) -> None:
        text = safe_text(text)
        if text.startswith(self._printed) and text != self._printed:
            self._status.clear()
            click.echo(text[len(self._printed) :], nl=False)
            sys.stdout.flush()
            self._printed = text

    def finish(self, final: str) -> None:
        """End the last line; the whole answer where what was streamed is not its beginning."""
        self(final)
        if self._printed != safe_text(final):
            answer(f"\n---\n{final}")
        else:
            click.echo()
