"""`codebuddy complete`: from a position on the command line to a suggestion with its receipt."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.paths import whole_model_name
from codebuddy.service.request import MAX_TEXT_BYTES, CompletionRequest
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
    from codebuddy.service.response import CompletionResponse


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
@click.option("--adapter", metavar="auto|none|PATH", help="The model's adapter, or a GGUF file.")
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
    adapter: str | None,
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
    request = CompletionRequest(
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
        adapter=None if adapter is None else whole_model_name(adapter),
        may_be_typing=from_stdin and count == 1,
    )
    status = StatusLine()
    printer = _StreamPrinter(status) if stream and not as_json else None
    found = _respond(request, status, printer, may_use_engine=not no_engine)
    for warning in found.pop("warnings", []):
        note(f"warning: {safe_line(warning)}")
    is_applied = bool(should_apply and found["text"])
    if should_apply:
        _apply(file, text, found)
    if as_json:
        answer_json({**found, "engine": found.get("engine"), "applied": is_applied})
        return
    if printer is not None:
        printer.finish(found["text"], is_replaced=found["decision"].get("kept") == "second")
    _print(found, is_streamed=printer is not None, is_applied=is_applied)


def _target(target: str) -> tuple[str, int, int | None]:
    from codebuddy.paths import given_file
    from codebuddy.positions import parse_target

    file, line, column = parse_target(target)
    return given_file(file), line, column


def _respond(
    request: CompletionRequest,
    status: StatusLine,
    printer: _StreamPrinter | None,
    *,
    may_use_engine: bool,
) -> CompletionResponse:
    """The warm engine's response, or this process's where there is no engine to ask."""
    from codebuddy.commands.client import open_client

    started = time.perf_counter()
    request = dataclasses.replace(
        request,
        file=os.path.abspath(request.file),  # noqa: PTH100
        name=request.file,
    )
    waiting = "the engine reads and writes"
    client = open_client(status, may_use_engine=may_use_engine, waiting=waiting)
    with status:
        found = client.complete(request, printer)
    total_ms = (time.perf_counter() - started) * 1000
    found["startup_ms"] = total_ms - found["timings_ms"]["total"]
    return found


def _print(found: CompletionResponse, *, is_streamed: bool, is_applied: bool) -> None:
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


def _apply(file: str, content: bytes | None, found: CompletionResponse) -> None:
    """Insert the suggestion, if the file still holds `content`."""
    from codebuddy.completion.document import apply_suggestion, decode
    from codebuddy.datatypes import Document, Position

    if not found["text"]:
        note("nothing is applied: there is no first suggestion")
        return
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
