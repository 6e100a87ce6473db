"""`codebuddy complete`: from a position on the command line to a suggestion with its receipt."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

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

    from codebuddy.assembly import Surroundings
    from codebuddy.completion.pipeline import Request, Workshop
    from codebuddy.datatypes import (
        CodeIndex,
        Document,
        Generator,
        Position,
        RetrieveMode,
        Suggestion,
    )

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
@click.option(
    "--apply", "should_apply", is_flag=True, help="Insert the (first) suggestion into the file."
)
@click.option("--stream", is_flag=True, help="Print lines as they are settled; not with --json.")
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
    from codebuddy.assembly import open_generator
    from codebuddy.completion.document import apply_suggestion
    from codebuddy.completion.pipeline import complete
    from codebuddy.completion.receipt import as_dictionary
    from codebuddy.errors import UsageError

    if should_apply and from_stdin:
        raise UsageError("--apply writes the file and --stdin reads unsaved text: give one of them")
    flags = {
        "completion.max_lines": max_lines,
        "completion.max_tokens": max_tokens,
        "completion.retrieve": retrieve,
        "model.name": model,
    }
    place = _find_place(target, flags, _read_stdin() if from_stdin else None)
    started = time.perf_counter()
    status = StatusLine()
    generator = open_generator(place.surroundings.settings, status)
    printer = _StreamPrinter(status) if stream and not as_json else None
    startup_ms = 0.0

    def suggest(index: CodeIndex | None) -> Suggestion:
        nonlocal startup_ms
        startup_ms = (time.perf_counter() - started) * 1000
        status.show(f"{generator.name} reads and writes")
        with status:
            return complete(place.request(count - 1), place.workshop(generator, index), printer)

    suggestion = _with_or_without_index(place, suggest, should_update=not no_update)
    is_applied = bool(should_apply and suggestion.text)
    if is_applied:
        apply_suggestion(place.document, place.position, suggestion.text)
    if as_json:
        more = {"startup_ms": startup_ms, "applied": is_applied}
        answer_json(as_dictionary(suggestion) | more)
        return
    if printer is not None:
        printer.finish(suggestion.text)
    _print(suggestion, startup_ms, is_streamed=printer is not None, is_applied=is_applied)


def _print(
    suggestion: Suggestion, startup_ms: float, *, is_streamed: bool, is_applied: bool
) -> None:
    """The suggestions on stdout, the receipt on stderr."""
    from codebuddy.completion.receipt import receipt_lines

    if suggestion.text and not is_streamed:
        answer(suggestion.text)
    for alternative in suggestion.alternatives:
        answer(f"---\n{alternative}")
    lines = receipt_lines(suggestion, startup_ms)
    if is_applied:
        lines.append(("applied", f"to {suggestion.document.path}"))
    for label, text in lines:
        note_styled([styled(f"{label:>9} ", fg="cyan"), safe_line(text)])


def _with_or_without_index(
    place: _Place, suggest: Callable[[CodeIndex | None], Suggestion], *, should_update: bool
) -> Suggestion:
    """A suggestion with lookups; without, where there must be none or the index fails."""
    from codebuddy.assembly import with_index
    from codebuddy.errors import IndexingError

    if place.mode == "never":
        return suggest(None)
    try:
        return with_index(place.surroundings, suggest, should_update=should_update)
    except IndexingError as error:
        note(f"warning: {safe_line(error.message)}; completing without lookups")
        return suggest(None)


@dataclass(frozen=True, slots=True)
class _Place:
    """What the command line says, resolved: the repository, the document and the cursor."""

    surroundings: Surroundings
    document: Document
    position: Position

    @property
    def mode(self) -> RetrieveMode:
        return self.surroundings.settings.completion.retrieve  # type: ignore[return-value]

    def request(self, alternatives: int) -> Request:
        from codebuddy.completion.pipeline import Request
        from codebuddy.syntax import language_for

        head = self.document.text[:512].encode("utf-8", "replace")
        language = language_for(self.document.path, head)
        return Request(self.document, self.position, language, self.mode, alternatives)

    def workshop(self, generator: Generator, index: CodeIndex | None) -> Workshop:
        from codebuddy.completion.pipeline import Workshop

        settings, root = self.surroundings.settings, self.surroundings.repository.root
        return Workshop(generator, index, settings.completion, root.name)


def _find_place(target: str, flags: dict[str, Any], unsaved: bytes | None) -> _Place:
    """Check all that can be wrong before anything slow is opened."""
    from codebuddy.assembly import open_surroundings
    from codebuddy.completion.document import load_document
    from codebuddy.positions import parse_target, resolve

    file, line, column = parse_target(target)
    surroundings = open_surroundings(flags)
    document = load_document(file, surroundings.repository.root, unsaved)
    position, _ = resolve(document.text, line, column, document.path)
    return _Place(surroundings, document, position)


class _StreamPrinter:
    """Prints what was added to a growing text; what was printed is never taken back."""

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

    def finish(self, final: str) -> None:
        """End the last line, if there is any; say so where the final text is another one."""
        if self._printed:
            click.echo()
        if self._printed != safe_text(final):
            note(f"warning: what was streamed was cut afterwards; the suggestion is:\n{final}")


def _read_stdin() -> bytes:
    from codebuddy.errors import UsageError

    if sys.stdin is None:
        raise UsageError("stdin is closed, so there is no buffer to read", hint="pipe its text in")
    if is_terminal(sys.stdin):
        note("reading the buffer's text from the terminal; end it with Ctrl-D")
    content = sys.stdin.buffer.read(_MAX_STDIN_BYTES + 1)
    if len(content) > _MAX_STDIN_BYTES:
        raise UsageError("the text on stdin is larger than 32 MiB")
    return content
