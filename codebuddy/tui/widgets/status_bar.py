"""The last row: where the cursor is, what the model does, and what the session brought."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from codebuddy.tui import literal
from codebuddy.tui.session_statistics import SessionStatistics, sparkline

_SPARK_CELLS = 12


@dataclass(frozen=True, slots=True)
class StatusContent:
    """What the row says of the editor and the model."""

    name: str = ""
    is_modified: bool = False
    note: str = ""
    line: int = 1
    column: int = 1
    selected: int = 0
    language: str = ""
    state: str = ""
    is_working: bool = False
    has_failed: bool = False


class StatusBar(Widget):
    """One row; what does not fit is left out, the least needed first."""

    DEFAULT_CSS = "StatusBar { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._status = StatusContent()
        self._statistics = SessionStatistics()

    def show(self, status: StatusContent, statistics: SessionStatistics) -> None:
        """Show another state."""
        self._status, self._statistics = status, statistics
        self.refresh()

    def render(self) -> Content:
        """The row, from the left what is needed most."""
        status, width = self._status, max(1, self.size.width)
        style = "$error" if status.has_failed else "$accent" if status.is_working else literal.MUTED
        place = f"{status.line}:{status.column}"
        if status.selected:
            place += f" ({status.selected} selected)"
        mark = " ●" if status.is_modified else ""
        left = [
            literal.line(f" {literal.shortened(status.name, max(8, width // 3))}{mark}", "bold"),
            literal.line(f"  {status.note}" if status.note else "", "$warning"),
            literal.line(f"  {place}"),
            literal.line(f"  {status.language}", literal.MUTED),
            literal.line(f"  {status.state}", style),
        ]
        spark = sparkline(self._statistics.latencies_ms, _SPARK_CELLS)
        latency_ms = self._statistics.latency_ms
        took = f"{latency_ms:.0f} ms" if latency_ms < 10_000 else f"{latency_ms / 1000:.0f} s"
        latency = f" {took}" if spark else ""
        right = [
            literal.line(spark, "$primary"),
            literal.line(f"{latency} ", literal.MUTED),
            literal.line(f" {self._statistics.summary()} ", literal.MUTED)
            if self._statistics.shown
            else Content(""),
        ]
        return _fitted(left, right, width)


def _fitted(left: list[Content], right: list[Content], width: int) -> Content:
    """Left and right parts with blanks between; parts that do not fit are left out."""
    row, used = Content(""), 0
    for part in left:
        if used + part.cell_length > width:
            break
        row, used = row + part, used + part.cell_length
    shown: list[Content] = []
    for part in right:
        if used + part.cell_length + 2 > width:
            break
        shown.append(part)
        used += part.cell_length
    return row + Content(" " * (width - used)) + Content("").join(shown)
