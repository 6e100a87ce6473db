"""How a search's results are shown to a person."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from codebuddy.terminal import is_terminal, note, safe_line, wants_color

if TYPE_CHECKING:
    from codebuddy.service.response import SearchHit, SearchResponse

_EXCERPT_LINES = 6
_EXCERPT_LINES_ABOVE = 2
_EXCERPT_COLUMNS = 160
_NEAR = {
    "import": "imported there",
    "package": "beside what is imported there",
    "folder": "in the same folder",
    "elsewhere": "there the name means another definition",
}
# The terminal's own colours; what is not named has none.
_COLOURS = {
    "comment": "bright_black",
    "string": "green",
    "escape": "green",
    "number": "cyan",
    "constant": "cyan",
    "keyword": "magenta",
    "function": "blue",
    "type": "yellow",
    "decorator": "yellow",
    "tag": "blue",
    "heading": "blue",
}


def note_readings(found: SearchResponse) -> None:
    """Say on stderr which words were taken for slips of the keyboard."""
    for word, meant in found.get("read_as", {}).items():
        note(f"read {safe_line(word)!r} as {safe_line(meant)!r}")


def shown_hit(item: SearchHit, *, explain: bool, on: IO[str]) -> str:
    """Place, symbol, channel and score, then the lines around the one that matched.

    On a terminal with why it was found, and the line that matched in its language's colours.
    """
    has_colour = wants_color(on)
    title = safe_line(f"{place_of(item)}  [{item['channel']} {item['score']:.4f}]")
    parts = [click.style(title, bold=True) if has_colour else title]
    if explain:
        parts.append(_reasons(item))
    elif is_terminal(on) and "why" in item:
        reason = f"    {safe_line(item['why'])}"
        parts.append(click.style(reason, dim=True) if has_colour else reason)
    return "\n".join([*parts, *_excerpt(item, has_colour=has_colour)])


def place_of(item: SearchHit) -> str:
    """Path, line, the chunk's lines, and the definition there."""
    title = f"{path_of(item)}:{item['line']} ({item['start_line']}-{item['end_line']})"
    return title + (f"  {item['kind']} {item['symbol']}" if item["symbol"] else "")


def path_of(item: SearchHit) -> str:
    """The path, of a search over many behind the repository's name."""
    return f"{item['name']}/{item['path']}" if "name" in item else item["path"]


def by_files(items: list[SearchHit], *, has_colour: bool) -> str:
    """Each file once, in the order of its best result, with its results' numbers and lines."""
    files: dict[str, list[tuple[int, SearchHit]]] = {}
    for number, item in enumerate(items, 1):
        files.setdefault(path_of(item), []).append((number, item))
    shown = []
    for path, found in files.items():
        title = safe_line(path)
        lines = [click.style(title, bold=True) if has_colour else title]
        for number, item in sorted(found, key=lambda each: each[1]["line"]):
            lines_of_text = item["text"].split("\n")
            at = min(max(0, item["line"] - item["start_line"]), len(lines_of_text) - 1)
            symbol = f"{item['kind']} {item['symbol']}: " if item["symbol"] else ""
            text = safe_line(f"{symbol}{lines_of_text[at].strip()[:_EXCERPT_COLUMNS]}")
            lines.append(f"  {item['line']:>5}  #{number}  {text}")
        shown.append("\n".join(lines))
    return "\n\n".join(shown)


def _excerpt(item: SearchHit, *, has_colour: bool) -> list[str]:
    lines = item["text"].split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    at = item["line"] - item["start_line"]
    first = max(0, min(at - _EXCERPT_LINES_ABOVE, len(lines) - _EXCERPT_LINES))
    last = first + _EXCERPT_LINES
    excerpt = [
        _coloured(item, number)
        if has_colour and number == at
        else safe_line_of_code(f"    {line[:_EXCERPT_COLUMNS]}".rstrip())
        for number, line in enumerate(lines[first:last], first)
    ]
    if any(line.strip() for line in lines[:first]):
        excerpt.insert(0, "    ...")
    if last < len(lines):
        excerpt.append("    ...")
    return excerpt


def safe_line_of_code(line: str) -> str:
    """The line as it may go to a terminal; its tabs stay."""
    return "\t".join(safe_line(part) for part in line.removesuffix("\r").split("\t"))


def _coloured(item: SearchHit, number: int) -> str:
    """That line of the chunk (from 0), each of its tokens in its colour, all of it bold."""
    from codebuddy.syntax.highlight import Highlighter
    from codebuddy.syntax.languages import language_for

    line = item["text"].split("\n")[number]
    source = item["text"].encode("utf-8", "replace")
    highlighted, _ = Highlighter(language_for(item["path"])).update(source)
    spans = () if highlighted is None else highlighted.spans(number, number)[0]
    parts, done = [click.style("  > ", fg="yellow", bold=True)], 0
    shown = min(len(line), _EXCERPT_COLUMNS)
    for start, end, token in spans:
        start, end = min(start, shown), min(end, shown)
        parts.append(click.style(safe_line_of_code(line[done:start]), bold=True))
        text = safe_line_of_code(line[start:end])
        parts.append(click.style(text, fg=_COLOURS.get(token), bold=True))
        done = end
    parts.append(click.style(safe_line_of_code(line[done:shown].rstrip()), bold=True))
    return "".join(parts)


def _reasons(item: SearchHit) -> str:
    """Each channel's place and score, the factors of the fused score, what --near did."""
    explain = item["explain"]
    parts = [f"{name} #{explain['ranks'][name]} ({s:.3f})" for name, s in item["channels"].items()]
    parts += [f"{name} x{factor:.2f}" for name, factor in explain["factors"].items()]
    if "near" in explain:
        parts.append(f"--near: {_NEAR[explain['near']]}")
    return safe_line(f"    why: {', '.join(parts)}")
