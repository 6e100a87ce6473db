"""`codebuddy complete`: from a position on the command line to a suggestion with its receipt."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codebuddy.engine.protocol import MAX_TEXT_BYTES, CompletionCall
from codebuddy.terminal import (
    StatusLine,
    answer,
    answer_json,
    is_terminal,
    note,
    note_styled,
    safe_line,
    safe_text,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from codebuddy.assembly import Place
    from codebuddy.code_index import CodeIndex
    from codebuddy.datatypes import Suggestion
    from codebuddy.engine.client import EngineClient


@click.command(
    name="complete",
    epilog="Example: codebuddy complete src/app.py:42:9 --max-lines 1",
)
@click.argument("target", metavar="FILE:LINE[:COL]")
@click.option("--max-lines", type=click.IntRange(1, 1000), help="Lines at most.")
@click.option("--max-tokens", type=click.IntRange(1, 8192), help="Tokens generated at most.")
@click.option(
    "--retrieve",
    type=click.Choice(["auto", "always", "never"]),
    help="Look things up in the repository: when it seems worth it, always, or never.",
)
@click.option(
    "--prefer",
    type=click.Choice(["speed", "balanced", "quality"]),
    help="How much a lookup must be worth for the time that it takes.",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option(
    "--apply", "should_apply", is_flag=True, help="Insert the (first) suggestion into the file."
)
@click.option(
    "--stream",
    is_flag=True,
    help="Print lines as they are settled; with --json still one object at the end.",
)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the buffer's text from stdin.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 8),
    default=1,
    help="How many different suggestions to print.",
)
@click.option("--no-update", is_flag=True, help="Use the index as it is.")
@click.option(
    "--budget-ms",
    type=click.IntRange(1, 3_600_000),
    help="Answer after so many milliseconds with the best there is, whole lines first.",
)
@click.option("--no-engine", is_flag=True, help="Do it in this process, without the engine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    target: str,
    max_lines: int | None,
    max_tokens: int | None,
    retrieve: str | None,
    prefer: str | None,
    model: str | None,
    should_apply: bool,  # noqa: FBT001
    stream: bool,  # noqa: FBT001
    from_stdin: bool,  # noqa: FBT001
    count: int,
    no_update: bool,  # noqa: FBT001
    budget_ms: int | None,
    no_engine: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Complete the code at FILE:LINE[:COL].

    Lines and columns start at 1; the text goes in before the column, by default at the end
    of the line. The suggestion goes to stdout, the receipt (what was looked up, why, and
    what it cost) to stderr.
    """
    from codebuddy.errors import UsageError

    if should_apply and from_stdin:
        raise UsageError("--apply writes the file and --stdin reads unsaved text: give one of them")
    file, line, column = _target(target)
    text = _read_to_apply(file) if should_apply else _read_stdin() if from_stdin else None
    call = CompletionCall(
        file,
        line,
        column,
        text,
        retrieve,
        max_lines,
        max_tokens,
        model,
        alternatives=count - 1,
        budget_ms=budget_ms,
        should_update=not no_update,
        prefer=prefer,
        takes_back=stream and not as_json,
    )
    status = StatusLine()
    printer = _StreamPrinter(status) if stream and not as_json else None
    found = None if no_engine else _from_engine(call, status, printer)
    if found is None:
        found = _from_here(call, status, printer)
    for warning in found.pop("warnings", ()):
        note(f"warning: {safe_line(warning)}")
    is_applied = bool(should_apply and found["text"])
    if is_applied:
        _apply(file, text, found)
    if as_json:
        answer_json(found | {"applied": is_applied})
        return
    if printer is not None:
        printer.finish(found["text"], is_replaced=found["decision"].get("kept") == "second")
    _print(found, is_streamed=printer is not None, is_applied=is_applied)


def _target(target: str) -> tuple[str, int, int | None]:
    from codebuddy.paths import given_file
    from codebuddy.positions import parse_target

    file, line, column = parse_target(target)
    return given_file(file), line, column


def _from_engine(
    call: CompletionCall, status: StatusLine, printer: _StreamPrinter | None
) -> dict[str, Any] | None:
    """The warm engine's answer; None where there is none to ask."""
    from codebuddy.engine.fallback import ask_engine

    started = time.perf_counter()
    place = dataclasses.replace(
        call,
        file=os.path.abspath(call.file),  # noqa: PTH100
        name=call.file,
    )

    def ask(engine: EngineClient) -> dict[str, Any]:
        status.show("the engine reads and writes")
        with status:
            return engine.complete(place, printer)

    found = ask_engine(ask)
    if found is not None:
        total_ms = (time.perf_counter() - started) * 1000
        found["startup_ms"] = total_ms - found["timings_ms"]["total"]
    return found


def _from_here(
    call: CompletionCall, status: StatusLine, printer: _StreamPrinter | None
) -> dict[str, Any]:
    """The answer found in this process: the same path, on a model loaded for it."""
    from codebuddy.assembly import find_place, open_generator, open_judge, surroundings_of_file
    from codebuddy.completion.pipeline import complete
    from codebuddy.completion.receipt import as_dictionary

    surroundings = surroundings_of_file(call.file, call.flags())
    # With `--apply` the text is the file's own, as it is on disk.
    place = find_place(surroundings, call.file, call.line, call.column, call.unsaved())
    started = time.perf_counter()
    generator = open_generator(place.surroundings.settings, status, call.budget_ms or 0)
    startup_ms = 0.0

    def suggest(index: CodeIndex | None) -> Suggestion:
        nonlocal startup_ms
        startup_ms = (time.perf_counter() - started) * 1000
        status.show(f"{generator.name} reads and writes")
        with status:
            request = place.request(
                call.alternatives, budget_ms=call.budget_ms or 0, takes_back=call.takes_back
            )
            return complete(request, place.workshop(generator, index, judge=judge), printer)

    judge = open_judge(place.surroundings, generator)
    for warning in judge.warnings:
        note(f"warning: {safe_line(warning)}")
    suggestion = _with_or_without_index(place, suggest, should_update=call.should_update)
    judge.pace.save()
    return as_dictionary(suggestion) | {"startup_ms": startup_ms, "engine": None}


def _print(found: dict[str, Any], *, is_streamed: bool, is_applied: bool) -> None:
    """The suggestions on stdout, the receipt on stderr."""
    from codebuddy.completion.receipt import receipt_lines

    if found["text"] and not is_streamed:
        answer(found["text"])
    for alternative in found["alternatives"]:
        answer(f"---\n{alternative}")
    lines = receipt_lines(found, found["startup_ms"])
    if is_applied:
        lines.append(("applied", f"to {found['file']}"))
    for label, text in lines:
        note_styled([styled(f"{label:>9} ", fg="cyan"), safe_line(text)])


def _with_or_without_index(
    place: Place, suggest: Callable[[CodeIndex | None], Suggestion], *, should_update: bool
) -> Suggestion:
    """A suggestion with lookups; without, where there must be none or the index fails."""
    from codebuddy.assembly import with_index
    from codebuddy.errors import IndexingError

    if not place.may_look_up:
        return suggest(None)
    try:
        return with_index(place.surroundings, suggest, should_update=should_update)
    except IndexingError as error:
        remedy = f" ({error.hint})" if error.hint else ""
        note(f"warning: {safe_line(f'{error.message}; completing without lookups{remedy}')}")
        return suggest(None)


def _read_to_apply(file: str) -> bytes | None:
    """The bytes that the suggestion is made for, so that a later change of the file is noticed.

    None for what is no readable file; the path says what is wrong with it.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116
            return None
        with Path(file).open("rb") as stream:
            return stream.read(MAX_TEXT_BYTES + 1)
    except (OSError, ValueError):
        return None


def _apply(file: str, content: bytes | None, found: dict[str, Any]) -> None:
    """Insert the suggestion, if the file still holds `content`."""
    from codebuddy.completion.document import apply_suggestion, decode
    from codebuddy.datatypes import Document, Position

    text, encoding = decode(content or b"", file)
    document = Document(found["file"], text, Path(file).resolve(), encoding)
    apply_suggestion(document, Position(found["line"], found["column"]), found["text"])


class _StreamPrinter:
    """Prints what was added to a growing text; what was printed is never taken back.

    A second text, which a lookup made, follows the first one behind a line `---`.
    """

    def __init__(self, status: StatusLine) -> None:
        self._printed = ""
        self._status = status

    def __call__(self, text: str) -> None:
        text = safe_text(text)
        if text.startswith(self._printed):
            self._status.clear()
            click.echo(text[len(self._printed) :], nl=False)
            sys.stdout.flush()
            self._printed = text

    def finish(self, final: str, *, is_replaced: bool = False) -> None:
        """End the last line, if there is any; say so where the final text is another one."""
        if self._printed:
            click.echo()
        if self._printed == safe_text(final):
            return
        if is_replaced:
            note("a lookup made a likelier suggestion, which replaces the first:")
            click.echo(f"---\n{safe_text(final)}" if self._printed else safe_text(final))
        else:
            note(f"warning: what was streamed was cut afterwards; the suggestion is:\n{final}")


def _read_stdin() -> bytes:
    from codebuddy.errors import UsageError

    if sys.stdin is None:
        raise UsageError("stdin is closed, so there is no buffer to read", hint="pipe its text in")
    if is_terminal(sys.stdin):
        note("reading the buffer's text from the terminal; end it with Ctrl-D")
    content = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise UsageError("the text on stdin is larger than 32 MiB")
    return content
