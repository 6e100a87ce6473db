"""Why a suggestion is what it is: verdict, chunks, tokens, milliseconds, model.

It shows the receipt as `complete --json` has it and computes nothing but lengths of bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from codebuddy.completion.reasons import in_words
from codebuddy.tui import literal

_STEPS = ("context", "decision", "retrieval", "prompt", "prefill", "generate", "postprocess")
# With a scroll bar the panel is 36 cells wide: a step, its bar and its time fit into one row.
_BAR_CELLS = 12
_FEATURES_SHOWN = 4
_SECONDS_FROM_MS = 1_000


class ReceiptPanel(VerticalScroll, can_focus=False):
    """The last suggestion's receipt, with its chunks as a list to jump from."""

    @dataclass
    class ChunkChosen(Message):
        """A chunk was chosen: go to it."""

        path: str
        line: int

    def __init__(self) -> None:
        super().__init__()
        self._chunks: Sequence[Mapping[str, Any]] = ()

    def compose(self) -> ComposeResult:
        """Verdict, chunks, costs."""
        yield Static(id="receipt-verdict", markup=False)
        yield OptionList(id="receipt-chunks", markup=False)
        yield Static(id="receipt-costs", markup=False)

    def on_mount(self) -> None:
        """Say what will be here."""
        self.border_title = "receipt"
        self.show(None)

    def show(self, receipt: Mapping[str, Any] | None) -> None:
        """Show a receipt; without one, what this panel is for."""
        verdict = self.query_one("#receipt-verdict", Static)
        chunks = self.query_one("#receipt-chunks", OptionList)
        costs = self.query_one("#receipt-costs", Static)
        chunks.clear_options()
        if receipt is None:
            verdict.update(
                Content.styled("What was decided, used and spent shows here.", literal.MUTED)
            )
            chunks.display = False
            costs.update("")
            return
        verdict.update(verdict_of(receipt))
        self._chunks = _dicts(receipt.get("chunks"))
        chunks.display = bool(self._chunks)
        for chunk in self._chunks:
            chunks.add_option(Option(_chunk_line(chunk, max(16, self.size.width - 4))))
        costs.update(costs_of(receipt))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Jump to a chunk."""
        event.stop()
        chunk = self._chunks[event.option_index]
        self.post_message(
            self.ChunkChosen(str(chunk.get("path", "")), int(chunk.get("start_line", 1)))
        )


def verdict_of(receipt: Mapping[str, Any]) -> Content:
    """What was decided, how sure that was, and why."""
    decision = receipt.get("decision")
    decision = decision if isinstance(decision, Mapping) else {}
    probability = _number(decision.get("probability"))
    threshold = _number(decision.get("threshold"))
    looked_up = bool(decision.get("retrieve"))
    mode = str(decision.get("mode", ""))
    # Pictures of the screen drop blanks at the beginning of a piece: what stands beside another
    # piece would touch it.
    parts = [
        Content.styled("looked up" if looked_up else "not looked up", "bold $primary"),
        Content("\n"),
    ]
    if mode != "never":
        # Nothing is judged where nothing may be looked up.
        sign = "≥" if probability >= threshold else "<"
        parts += [
            Content(f"p {probability:.2f} "),
            literal.line(f"{sign} {threshold:.2f}, {mode}".rstrip(", "), literal.MUTED),
            Content("\n"),
            _gauge(probability, threshold),
            Content("\n"),
        ]
    parts.append(literal.line(str(decision.get("reason", ""))))
    gain, cost_ms = decision.get("expected_gain"), decision.get("expected_ms")
    is_said = decision.get("mode") == "auto"
    if gain is not None and cost_ms is not None and not is_said:
        worth = f"expected to win {_number(gain):.1f} points for {_number(cost_ms):.0f} ms"
        parts += [Content("\n"), literal.line(worth, literal.MUTED)]
    if decision.get("kept"):
        said = f"first text after {_number(decision.get('first_ms')):.0f} ms, without a lookup;"
        said += f" the {decision['kept']} one is kept"
        parts += [Content("\n"), literal.line(said, literal.MUTED)]
    warnings = receipt.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        parts += [Content("\n"), literal.line(str(warning), "$warning")]
    for name, weight in _weights(decision):
        parts += [Content("\n"), literal.line(f"{weight:+.2f}", "$accent")]
        parts.append(literal.line(f" {in_words(name, weight)}"))
    return Content("").join(parts)


def costs_of(receipt: Mapping[str, Any]) -> Content:
    """Tokens, milliseconds per step, model and speed."""
    tokens = receipt.get("tokens")
    tokens = tokens if isinstance(tokens, Mapping) else {}
    times = receipt.get("timings_ms")
    times = times if isinstance(times, Mapping) else {}
    parts = [
        Content.styled("tokens ", literal.MUTED),
        Content(
            f"{tokens.get('prompt', 0)} in the prompt: {tokens.get('reused', 0)} reused, "
            f"{tokens.get('evaluated', 0)} evaluated; {tokens.get('generated', 0)} generated\n"
        ),
    ]
    longest = max([_number(times.get(step)) for step in _STEPS] + [1.0])
    for step in _STEPS:
        if step not in times:
            continue
        took_ms = _number(times[step])
        bar = "█" * round(took_ms / longest * _BAR_CELLS)
        parts.append(Content.styled(f"{step:<12}", literal.MUTED))
        parts.append(Content.styled(f"{bar:<{_BAR_CELLS}}", "$primary"))
        parts.append(Content(f"{_duration(took_ms)}\n"))
    generate_ms, generated = _number(times.get("generate")), _number(tokens.get("generated"))
    per_s = generated * 1000 / generate_ms if generate_ms > 1 else 0.0
    rate = f", {per_s:.{0 if per_s >= 10 else 1}f} tokens/s" if per_s else ""
    engine = receipt.get("engine")
    cached = isinstance(engine, Mapping) and bool(engine.get("is_cached"))
    parts.append(Content.styled("total       ", literal.MUTED))
    parts.append(Content(f"{'from the cache' if cached else '':<{_BAR_CELLS}}"))
    parts.append(Content(f"{_duration(_number(times.get('total')))}\n"))
    parts.append(literal.line(f"{receipt.get('model', '')}{rate}", "bold"))
    runtime = receipt.get("runtime")
    if isinstance(runtime, Mapping) and runtime.get("threads"):
        used = f"{runtime['threads']} threads, {runtime.get('gpu_layers', 0)} layers on the GPU"
        parts += [Content("\n"), literal.line(used, literal.MUTED)]
    filters = receipt.get("filters")
    if isinstance(filters, list | tuple) and filters:
        cleaned = f"cleaned: {', '.join(map(str, filters))}"
        parts += [Content("\n"), literal.line(cleaned, literal.MUTED)]
    return Content("").join(parts)


def _gauge(probability: float, threshold: float) -> Content:
    """The probability as a bar, with the threshold marked."""
    width = 24
    full = round(min(1.0, max(0.0, probability)) * width)
    mark = min(width - 1, max(0, round(threshold * width)))
    cells = ["█" if index < full else "·" for index in range(width)]
    cells[mark] = "│" if mark >= full else "┃"
    return Content.styled("".join(cells), "$primary")


def _chunk_line(chunk: Mapping[str, Any], width: int) -> Content:
    place = f"{chunk.get('path', '')}:{chunk.get('start_line', '')}"
    symbol = str(chunk.get("symbol") or "")
    score, tokens = _number(chunk.get("score")), chunk.get("tokens", 0)
    facts = f"{chunk.get('channel', '')} {score:.3f}, {tokens} tokens"
    return Content("").join(
        [
            literal.line(literal.shortened(place, width), "$secondary"),
            Content("\n"),
            literal.line(f"{symbol}  " if symbol else ""),
            literal.line(facts, literal.MUTED),
        ]
    )


def _weights(decision: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The features that tipped the decision most, with the points that each moved."""
    told = decision.get("features")
    pairs = told if isinstance(told, list | tuple) else []
    whole = [
        (str(pair[0]), _number(pair[1]))
        for pair in pairs
        if isinstance(pair, list | tuple) and len(pair) == 2
    ]
    return sorted(whole, key=lambda pair: -abs(pair[1]))[:_FEATURES_SHOWN]


def _duration(took_ms: float) -> str:
    return f"{took_ms:8.1f} ms" if took_ms < _SECONDS_FROM_MS else f"{took_ms / 1000:8.1f} s "


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return (
        [each for each in value if isinstance(each, Mapping)]
        if isinstance(value, list | tuple)
        else []
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
