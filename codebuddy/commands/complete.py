"""`codebuddy complete`: from a position on the command line to a suggestion with its receipt."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from codebuddy.terminal import (
    answer,
    answer_json,
    note,
    note_styled,
    safe_line,
    safe_text,
    styled,
)

if TYPE_CHECKING:
    from codebuddy.completion.pipeline import Request, Workshop
    from codebuddy.datatypes import RetrieveMode

_MAX_STDIN_BYTES = 32 << 20


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
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--apply", "should_apply", is_flag=True, help="Insert the suggestion into the file.")
@click.option("--stream", is_flag=True, help="Print lines as they are settled.")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the buffer's text from stdin.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 8),
    default=1,
    help="How many different suggestions to print.",
)
@click.option("--no-update", is_flag=True, help="Use the index as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    target: str,
    max_lines: int | None,
    max_tokens: int | None,
    retrieve: str | None,
    model: str | None,
    should_apply: bool,  # noqa: FBT001
    stream: bool,  # noqa: FBT001
    from_stdin: bool,  # noqa: FBT001
    count: int,
    no_update: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Complete the code at FILE:LINE[:COL].

    Lines and columns start at 1; the text goes in before the column, by default at the end
    of the line. The suggestion goes to stdout, the receipt (what was looked up, why, and
    what it cost) to stderr.
    """
    from codebuddy.completion.document import apply_suggestion
    from codebuddy.completion.pipeline import complete
    from codebuddy.completion.receipt import as_dictionary, receipt_lines
    from codebuddy.errors import UsageError

    if should_apply and from_stdin:
        raise UsageError("--apply writes the file and --stdin reads unsaved text: give one of them")
    flags = {
        "completion.max_lines": max_lines,
        "completion.max_tokens": max_tokens,
        "completion.retrieve": retrieve,
        "model.name": model,
    }
    unsaved = _read_stdin() if from_stdin else None
    started = time.perf_counter()
    request, workshop = _prepare(target, flags, unsaved, count - 1, should_update=not no_update)
    startup_ms = (time.perf_counter() - started) * 1000
    printer = _StreamPrinter() if stream and not as_json else None
    suggestion = complete(request, workshop, printer)
    is_applied = bool(should_apply and suggestion.text)
    if is_applied:
        apply_suggestion(request.document, request.position, suggestion.text)
    if as_json:
        more = {"startup_ms": startup_ms, "applied": is_applied}
        answer_json(as_dictionary(suggestion) | more)
        return
    if printer is None:
        answer(suggestion.text)
    else:
        printer.finish()
    for alternative in suggestion.alternatives:
        answer("---")
        answer(alternative)
    for label, text in receipt_lines(suggestion, startup_ms):
        note_styled([styled(f"{label:>9} ", fg="cyan"), safe_line(text)])
    if is_applied:
        note(f"  applied to {safe_line(request.document.path)}")


def _prepare(
    target: str,
    flags: dict[str, Any],
    unsaved: bytes | None,
    alternatives: int,
    *,
    should_update: bool,
) -> tuple[Request, Workshop]:
    """Everything up to the first step of the path: place, index (brought up to date), model."""
    from codebuddy.assembly import open_generator, open_index, open_surroundings
    from codebuddy.completion.document import load_document
    from codebuddy.completion.pipeline import Request, Workshop
    from codebuddy.positions import parse_target, resolve
    from codebuddy.syntax import language_for

    file, line, column = parse_target(target)
    surroundings = open_surroundings(flags)
    settings, root = surroundings.settings, surroundings.repository.root
    document = load_document(file, root, unsaved)
    position, _ = resolve(document.text, line, column, document.path)
    mode: RetrieveMode = settings.completion.retrieve  # type: ignore[assignment]
    request = Request(
        document=document,
        position=position,
        language=language_for(document.path, document.text[:512].encode("utf-8", "replace")),
        retrieve=mode,
        alternatives=alternatives,
    )
    index = None if mode == "never" else open_index(surroundings, should_update=should_update)
    generator = open_generator(settings)
    return request, Workshop(generator, index, settings.completion, root.name)


class _StreamPrinter:
    """Prints what was added to a growing text; what was printed is never taken back."""

    def __init__(self) -> None:
        self._printed = ""

    def __call__(self, text: str) -> None:
        text = safe_text(text)
        if text.startswith(self._printed):
            click.echo(text[len(self._printed) :], nl=False)
            sys.stdout.flush()
            self._printed = text

    def finish(self) -> None:
        """End the last line."""
        click.echo()


def _read_stdin() -> bytes:
    from codebuddy.errors import UsageError

    content = sys.stdin.buffer.read(_MAX_STDIN_BYTES + 1)
    if len(content) > _MAX_STDIN_BYTES:
        raise UsageError("the text on stdin is larger than 32 MiB")
    return content
