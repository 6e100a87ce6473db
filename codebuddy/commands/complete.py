"""`codebuddy complete`: from a position on the command line to a suggestion with its receipt."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import click

from codebuddy.terminal import answer, answer_json, note_styled, safe_line, safe_text, styled

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
    from codebuddy.assembly import open_generator, open_surroundings
    from codebuddy.completion.document import apply_suggestion, load_document
    from codebuddy.completion.pipeline import Request, Workshop, complete
    from codebuddy.errors import UsageError
    from codebuddy.positions import parse_target, resolve
    from codebuddy.syntax import language_for

    if should_apply and from_stdin:
        raise UsageError("--apply writes the file and --stdin reads unsaved text: give one of them")
    file, line, column = parse_target(target)
    surroundings = open_surroundings(
        {
            "completion.max_lines": max_lines,
            "completion.max_tokens": max_tokens,
            "completion.retrieve": retrieve,
            "model.name": model,
        }
    )
    settings, root = surroundings.settings, surroundings.repository.root
    unsaved = _read_stdin() if from_stdin else None
    document = load_document(file, root, unsaved)
    position, _ = resolve(document.text, line, column, document.path)
    request = Request(
        document=document,
        position=position,
        language=language_for(document.path, document.text[:512].encode("utf-8", "replace")),
        retrieve=settings.completion.retrieve,  # type: ignore[arg-type]
        alternatives=count - 1,
    )
    setup_started = time.perf_counter()
    index = _open_index(surroundings, is_wanted=request.retrieve != "never", no_update=no_update)
    index_ms = (time.perf_counter() - setup_started) * 1000
    generator = open_generator(settings)
    load_ms = (time.perf_counter() - setup_started) * 1000 - index_ms
    workshop = Workshop(generator, index, settings.completion, root.name)
    printer = _StreamPrinter() if stream and not as_json else None
    suggestion = complete(request, workshop, printer)
    if should_apply and suggestion.text:
        apply_suggestion(document, position, suggestion.text)
    if as_json:
        value = as_dictionary(suggestion)
        value["startup_ms"] = {"index": index_ms, "model": load_ms}
        value["applied"] = bool(should_apply and suggestion.text)
        answer_json(value)
        return
    if printer is None:
        answer(suggestion.text)
    else:
        printer.finish()
    for alternative in suggestion.alternatives:
        answer("---")
        answer(alternative)
    _print_receipt(suggestion, index_ms, load_ms)


def as_dictionary(suggestion: Any) -> dict[str, Any]:
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


def _open_index(surroundings: Any, *, is_wanted: bool, no_update: bool) -> Any:
    """The index, brought up to date first; nothing where no lookup may happen."""
    if not is_wanted:
        return None
    from codebuddy.index.search import RepositoryIndex

    if not no_update:
        from codebuddy.index.build import update_index

        update_index(surroundings.repository, surroundings.settings)
    return RepositoryIndex.open(surroundings.repository, surroundings.settings)


def _print_receipt(suggestion: Any, index_ms: float, load_ms: float) -> None:
    """The receipt in a few lines on stderr."""
    receipt = suggestion.receipt
    decision, stats = receipt.decision, receipt.stats
    verdict = "looked up" if decision.retrieve else "not looked up"
    _line(
        "decision",
        f"{verdict}: {decision.reason} (p {decision.probability:.2f}, {decision.mode})",
    )
    for packed in receipt.chunks:
        chunk = packed.result.chunk
        symbol = f" {chunk.symbol}" if chunk.symbol else ""
        _line(
            "chunk",
            f"{chunk.path}:{chunk.start_line}-{chunk.end_line}{symbol} "
            f"({packed.result.channel}, {packed.tokens} tokens)",
        )
    _line(
        "tokens",
        f"{stats.prompt_tokens} in the prompt, {stats.evaluated_tokens} evaluated, "
        f"{stats.reused_tokens} reused, {stats.generated_tokens} generated",
    )
    times = receipt.timings_ms
    steps = ", ".join(f"{step} {ms:.0f}" for step, ms in times.items() if step != "total")
    _line("time", f"{times['total']:.0f} ms ({steps}); index {index_ms:.0f}, load {load_ms:.0f}")
    if receipt.filters:
        _line("cleaned", ", ".join(receipt.filters))
    runtime = receipt.runtime
    where = f"{runtime.get('gpu_layers', 0)} layers on the GPU, {runtime.get('threads')} threads"
    _line("model", f"{receipt.model}, {runtime.get('backend')}, {where}")


def _line(label: str, text: str) -> None:
    note_styled([styled(f"{label:>9} ", fg="cyan"), safe_line(text)])
