"""What the tools found, as pages of text: places first, then as much code as fits."""

from __future__ import annotations

from codebuddy.datatypes import Definition
from codebuddy.serve.agents.page import Page, cost_of
from codebuddy.service.code_questions import (
    FileOutline,
    FolderOutline,
    NamedDefinitions,
    NameUses,
    RelatedFiles,
)
from codebuddy.service.code_text import CodeText
from codebuddy.service.response import SearchHit, SearchResponse
from codebuddy.terminal import counted, safe_line

# Lines of each search result: its header says most.
_EXCERPT_LINES = 5
_MAX_IMPORTS_SHOWN = 40


def search_page(found: SearchResponse, max_tokens: int) -> Page:
    """Each result's place, and the lines at its match; the best ones first."""
    page = Page(max_tokens)
    results = found["results"]
    for word, meant in found.get("read_as", {}).items():
        page.note(f"{word} was read as {meant}.")
    if not results:
        page.note(found.get("reason") or "Nothing was found; try other words.")
        return page
    for place, hit in enumerate(results):
        if not page.add(_place_of(hit)):
            page.leave_out(len(results) - place, "results")
            break
        lines = _excerpt(hit)
        page.leave_out(len(lines) - page.add_numbered(lines), "lines")
    return page


def definition_page(name: str, found: NamedDefinitions, max_tokens: int) -> Page:
    """The definitions with their texts; a long one leaves room for the places of the others."""
    page = Page(max_tokens)
    if not found.found:
        page.add(f"Nothing is defined under the name {name:.200}.")
        if found.similar:
            page.add("Similar names:")
            page.add_each((_line_of(each) for each in found.similar), "names")
        return page
    places = [safe_line(_line_of(definition)) for definition, _ in found.found]
    for place, (_, text) in enumerate(found.found):
        if not page.add(places[place]):
            page.leave_out(len(found.found) - place, "definitions")
            break
        n_shown = page.add_numbered(text.numbered, cost_of(places[place + 1 :]))
        page.leave_out(len(text.lines) - n_shown, "lines")
    page.leave_out(found.n_more, "definitions")
    return page


def uses_page(found: NameUses, max_tokens: int) -> Page:
    """The uses by file, each with the definition around it."""
    page = Page(max_tokens)
    defined = ", ".join(f"{each.path}:{each.line}" for each in found.definitions[:5])
    page.add(
        f"{found.name}: {counted(len(found.found), 'use')}; defined at {defined or 'no place'}"
    )
    path = ""
    for place, use in enumerate(found.found):
        if use.path != path:
            path = use.path
            meant = found.meant.get(path, "")
            title = f"{path} (most likely {meant})" if meant else path
            if not page.add(title):
                page.leave_out(len(found.found) - place, "uses")
                break
        inside = f"{use.kind} in {use.inside}" if use.inside else use.kind
        if not page.add_line_of_code(use.line, use.text, f" {inside} "):
            page.leave_out(len(found.found) - place, "uses")
            break
    if found.n_elsewhere:
        page.note(f"{counted(found.n_elsewhere, 'use')} of the name elsewhere may mean others.")
    if found.n_unseen:
        page.note(f"{counted(found.n_unseen, 'file')} with the word were not looked into.")
    return page


def outline_page(found: FileOutline | FolderOutline, max_tokens: int) -> Page:
    """A file's definitions by their signatures, or a folder's files."""
    page = Page(max_tokens)
    if isinstance(found, FolderOutline):
        page.add(f"{found.path or '.'}: {counted(len(found.files), 'file')}, with their lines")
        page.add_each((f"{path} {n_lines}" for path, n_lines in found.files), "files")
        return page
    page.add(f"{found.path}: {found.language or 'text'}, {counted(found.n_lines, 'line')}")
    if found.imports:
        shown = found.imports[:_MAX_IMPORTS_SHOWN]
        page.add(f"imports {', '.join(shown)}")
        page.leave_out(len(found.imports) - len(shown), "imports")
    for place, each in enumerate(found.definitions):
        depth = each.qualified.count(".")
        end = f"-{each.end_line}" if each.end_line > each.line else ""
        text = f"{'  ' * depth}{each.kind} {each.signature or each.name}"
        if not page.add(f"{each.line}{end}| {text}"):
            page.leave_out(len(found.definitions) - place, "definitions")
            break
    return page


def related_page(found: RelatedFiles, max_tokens: int) -> Page:
    """Three lists of paths."""
    page = Page(max_tokens)
    changed = [f"{path} {score:.2f}" for path, score in found.changed_with]
    lists = [
        ("Imports", found.imports),
        ("Imported by", found.imported_by),
        ("Changed together with, in git's history", changed),
    ]
    titles = [f"{title}: {len(paths) or 'none found'}" for title, paths in lists]
    costs = [
        cost_of(map(safe_line, (title, *paths)))
        for title, (_, paths) in zip(titles, lists, strict=True)
    ]
    for place, (_, paths) in enumerate(lists):
        # Each may take what the others do not need, and its share of what is left in any case.
        n_behind = len(lists) - place - 1
        kept = min(sum(costs[place + 1 :]), page.n_left * n_behind // (n_behind + 1))
        page.add(titles[place])
        page.add_each(paths, "files", kept)
    if found.n_unseen:
        page.note(f"{counted(found.n_unseen, 'file')} that may import it were not looked into.")
    return page


def code_page(found: CodeText, max_tokens: int) -> Page:
    """Lines of a file."""
    page = Page(max_tokens)
    last = found.numbered[-1][0] if found.lines else found.start - 1
    page.add(f"{found.path}:{found.start}-{last} of {counted(found.n_lines, 'line')}")
    page.leave_out(len(found.lines) - page.add_numbered(found.numbered), "lines")
    return page


def _place_of(hit: SearchHit) -> str:
    where = f"{hit['path']}:{hit['start_line']}-{hit['end_line']}"
    return f"{where} {hit['kind']} {hit['symbol']}" if hit["symbol"] else where


def _excerpt(hit: SearchHit) -> list[tuple[int, str]]:
    """The numbers and texts of the piece's first lines, or of its first one and of the match."""
    lines = hit["text"].split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    # A notebook's JSON may have a whole cell on one line.
    numbered = [
        (min(number, hit["end_line"]), line) for number, line in enumerate(lines, hit["start_line"])
    ]
    start = next((place for place, line in enumerate(lines) if _says_something(line)), 0)
    at = hit["line"] - hit["start_line"]
    if at < start + _EXCERPT_LINES:
        return numbered[min(start, at) :][:_EXCERPT_LINES]
    return numbered[start : start + 1] + numbered[at : at + _EXCERPT_LINES - 1]


def _says_something(line: str) -> bool:
    """Whether a piece is known by this line: no blank, decorator or bracket alone."""
    bare = line.strip()
    return bool(bare) and not bare.startswith("@") and any(map(str.isalnum, bare))


def _line_of(definition: Definition) -> str:
    end = f"-{definition.end_line}" if definition.end_line > definition.line else ""
    return f"{definition.path}:{definition.line}{end} {definition.kind} {definition.qualified}"
