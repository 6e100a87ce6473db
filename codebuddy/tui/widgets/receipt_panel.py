"""Why a suggestion is what it is: verdict, chunks, tokens, milliseconds, model.

It shows the receipt as `complete --json` has it and computes nothing but lengths of bars.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from codebuddy.completion.reasons import feature_phrase
from codebuddy.completion.receipt import model_in_words
from codebuddy.service.response import ChunkResponse, CompletionResponse, DecisionResponse
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
        self._chunks: list[ChunkResponse] = []

    def compose(self) -> ComposeResult:
        """Verdict, chunks, costs."""
        yield Static(id="receipt-verdict", markup=False)
        yield OptionList(id="receipt-chunks", markup=False)
        yield Static(id="receipt-costs", markup=False)

    def on_mount(self) -> None:
        """Say what will be here."""
        self.border_title = "receipt"
        self.show(None)

    def show(self, receipt: CompletionResponse | None) -> None:
        """Show a `CompletionResponse`; without one, what this panel is for."""
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
        verdict.update(decision_content(receipt))
        self._chunks = receipt["chunks"]
        chunks.display = bool(self._chunks)
        for chunk in self._chunks:
            chunks.add_option(Option(_chunk_line(chunk, max(16, self.size.width - 4))))
        costs.update(cost_content(receipt))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Jump to a chunk."""
        event.stop()
        chunk = self._chunks[event.option_index]
        self.post_message(self.ChunkChosen(chunk["path"], chunk["start_line"]))


def decision_content(receipt: CompletionResponse) -> Content:
    """What was decided, how sure that was, and why."""
    decision = receipt["decision"]
    probability, threshold = decision["probability"], decision["threshold"]
    looked_up, mode = decision["retrieve"], decision["mode"]
    # Pictures of the screen drop blanks at the beginning of a piece: what stands beside another
    # piece would touch it.
    parts = [
        Content.styled("looked up" if looked_up else "not looked up", "bold $primary"),
        Content("\n"),
    ]
    if mode != "never":
        # There is no decision where retrieval is impossible.
        sign = "≥" if probability >= threshold else "<"
        parts += [
            Content(f"p {probability:.2f} "),
            literal.line(f"{sign} {threshold:.2f}, {mode}", literal.MUTED),
            Content("\n"),
            _gauge(probability, threshold),
            Content("\n"),
        ]
    parts.append(literal.line(decision["reason"]))
    gain, cost_ms = decision["expected_gain"], decision["expected_ms"]
    is_said = mode == "auto"
    if gain is not None and cost_ms is not None and not is_said:
        worth = f"expected to win {gain:.1f} points for {cost_ms:.0f} ms"
        parts += [Content("\n"), literal.line(worth, literal.MUTED)]
    if decision["kept"]:
        said = f"first text after {decision['first_ms'] or 0:.0f} ms, without a lookup;"
        said += f" the {decision['kept']} one is kept"
        parts += [Content("\n"), literal.line(said, literal.MUTED)]
    for warning in receipt.get("warnings", []):
        parts += [Content("\n"), literal.line(warning, "$warning")]
    for name, weight in _weights(decision):
        parts += [Content("\n"), literal.line(f"{weight:+.2f}", "$accent")]
        parts.append(literal.line(f" {feature_phrase(name, weight)}"))
    return Content("").join(parts)


def cost_content(receipt: CompletionResponse) -> Content:
    """Tokens, milliseconds per step, model and speed."""
    tokens, times = receipt["tokens"], receipt["timings_ms"]
    parts = [
        Content.styled("tokens ", literal.MUTED),
        Content(
            f"{tokens['prompt']} in the prompt: {tokens['reused']} reused, "
            f"{tokens['evaluated']} evaluated; {tokens['generated']} generated\n"
        ),
    ]
    longest = max([times.get(step, 0.0) for step in _STEPS] + [1.0])
    for step in _STEPS:
        if step not in times:
            continue
        took_ms = times[step]
        bar = "█" * round(took_ms / longest * _BAR_CELLS)
        parts.append(Content.styled(f"{step:<12}", literal.MUTED))
        parts.append(Content.styled(f"{bar:<{_BAR_CELLS}}", "$primary"))
        parts.append(Content(f"{_duration(took_ms)}\n"))
    generate_ms, generated = times.get("generate", 0.0), tokens["generated"]
    per_s = generated * 1000 / generate_ms if generate_ms > 1 else 0.0
    rate = f", {per_s:.{0 if per_s >= 10 else 1}f} tokens/s" if per_s else ""
    cached = "engine" in receipt and receipt["engine"]["is_cached"]
    parts.append(Content.styled("total       ", literal.MUTED))
    parts.append(Content(f"{'from the cache' if cached else '':<{_BAR_CELLS}}"))
    parts.append(Content(f"{_duration(times['total'])}\n"))
    parts.append(literal.line(f"{model_in_words(receipt)}{rate}", "bold"))
    runtime = receipt["runtime"]
    if runtime.get("threads"):
        used = f"{runtime['threads']} threads, {runtime.get('gpu_layers', 0)} layers on the GPU"
        parts += [Content("\n"), literal.line(used, literal.MUTED)]
    if receipt["filters"]:
        cleaned = f"cleaned: {', '.join(receipt['filters'])}"
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


def _chunk_line(chunk: ChunkResponse, width: int) -> Content:
    place, symbol = f"{chunk['path']}:{chunk['start_line']}", chunk["symbol"]
    facts = f"{chunk['channel']} {chunk['score']:.3f}, {chunk['tokens']} tokens"
    return Content("").join(
        [
            literal.line(literal.shortened(place, width), "$secondary"),
            Content("\n"),
            literal.line(f"{symbol}  " if symbol else ""),
            literal.line(facts, literal.MUTED),
        ]
    )


def _weights(decision: DecisionResponse) -> list[tuple[str, float]]:
    """The features that tipped the decision most, with the points that each moved."""
    return sorted(decision["features"], key=lambda pair: -abs(pair[1]))[:_FEATURES_SHOWN]


def _duration(took_ms: float) -> str:
    return f"{took_ms:8.1f} ms" if took_ms < _SECONDS_FROM_MS else f"{took_ms / 1000:8.1f} s "
