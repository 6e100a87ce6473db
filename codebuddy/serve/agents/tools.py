"""The tools that an agent has: what each is for, its arguments, and the page that it answers.

None of them writes. This module knows neither the protocol nor how the index is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import IndexingError
from codebuddy.serve.agents import pages
from codebuddy.serve.agents.arguments import Arguments, Number, Text, max_tokens, read_arguments
from codebuddy.serve.agents.page import Page
from codebuddy.service import code_paths, code_questions
from codebuddy.service.client import CompletionClient
from codebuddy.service.code_reader import CodeReader
from codebuddy.service.request import SearchRequest

_FILE = "A file, relative to the repository's root"
_MAX_RESULTS = 50
_MAX_DEFINITIONS = 20
_MAX_NEIGHBOURS = 10
_MAX_LINE = 10_000_000

# What a tool does with its arguments: from the tools, what was asked, and its token.
_Call = Callable[["Tools", dict[str, Any], CancellationToken], Page]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: `description` is what a model chooses it by."""

    name: str
    title: str
    description: str
    arguments: Arguments
    call: _Call = field(repr=False)


class Tools:
    """The tools for a repository. Safe from several threads.

    Args:
        reader: Asks its index.
        client: Searches it.
    """

    def __init__(self, reader: CodeReader, client: CompletionClient) -> None:
        self._reader = reader
        self._client = client

    def call(self, name: str, given: dict[str, Any], cancellation: CancellationToken) -> Page:
        """What the tool of that name answers.

        Raises:
            KeyError: There is none.
            CodebuddyError: The arguments are wrong, or the index cannot be used.
        """
        tool = TOOLS[name]
        return tool.call(self, read_arguments(tool.arguments, given), cancellation)

    def search(self, asked: dict[str, Any], cancellation: CancellationToken) -> Page:
        """The best places for a query."""
        warnings = self._reader.refresh(cancellation)
        near = self._path(asked["near"])
        request = SearchRequest(
            str(self._reader.root),
            asked["query"],
            asked["limit"],
            near=near,
            should_update=False,
        )
        try:
            found = self._client.search(request)
        except IndexingError:
            # Damaged, or taken away since: an update builds it anew.
            found = self._client.search(replace(request, should_update=True))
        cancellation.check()
        page = pages.search_page(found, asked["max_tokens"])
        return _with_warnings(page, (*warnings, *found.get("warnings", ())))

    def definition(self, asked: dict[str, Any], cancellation: CancellationToken) -> Page:
        """Where a name is defined, with the text."""
        near = self._path(asked["near"])
        answer = self._reader.ask(
            lambda index: code_questions.find_definitions(
                index, asked["name"], near, cancellation, asked["limit"]
            ),
            cancellation,
        )
        page = pages.definition_page(asked["name"], answer.value, asked["max_tokens"])
        return _with_warnings(page, answer.warnings)

    def callers(self, asked: dict[str, Any], cancellation: CancellationToken) -> Page:
        """Where a name is used."""
        of = self._path(asked["defined_in"])
        answer = self._reader.ask(
            lambda index: code_questions.find_uses(index, asked["name"], of, cancellation),
            cancellation,
        )
        page = pages.uses_page(answer.value, asked["max_tokens"])
        return _with_warnings(page, answer.warnings)

    def outline(self, asked: dict[str, Any], cancellation: CancellationToken) -> Page:
        """What a file or a folder holds."""
        path = self._path(asked["path"])
        question = partial(code_questions.outline, path=path)
        answer = self._reader.ask(question, cancellation)
        return _with_warnings(
            pages.outline_page(answer.value, asked["max_tokens"]), answer.warnings
        )

    def related(self, asked: dict[str, Any], cancellation: CancellationToken) -> Page:
        """Which files have to do with one."""
        path = self._path(asked["path"])
        answer = self._reader.ask(
            lambda index: code_questions.related_files(index, path, cancellation), cancellation
        )
        page = pages.related_page(answer.value, asked["max_tokens"])
        return _with_warnings(page, answer.warnings)

    def read(self, asked: dict[str, Any], cancellation: CancellationToken) -> Page:
        """Lines of a file."""
        path = self._path(asked["path"])
        question = partial(
            code_questions.read_lines,
            path=path,
            start=asked["start_line"],
            end=asked["end_line"],
            neighbours=asked["neighbours"],
        )
        answer = self._reader.ask(question, cancellation)
        return _with_warnings(pages.code_page(answer.value, asked["max_tokens"]), answer.warnings)

    def files(self, cancellation: CancellationToken) -> list[tuple[str, int, str]]:
        """Path, bytes and language of every file."""
        answer = self._reader.ask(code_questions.list_files, cancellation)
        return answer.value

    def text(self, path: str, cancellation: CancellationToken) -> str:
        """The text of a file."""
        inside = self._path(path)
        question = partial(code_questions.whole_text, path=inside)
        return self._reader.ask(question, cancellation).value

    def _path(self, given: str) -> str:
        return code_paths.path_in(self._reader.root, given) if given else ""


def _with_warnings(page: Page, warnings: tuple[str, ...]) -> Page:
    for warning in warnings:
        page.note(f"Note: {warning}.")
    return page


_SPECS = (
    ToolSpec(
        "search",
        "Search code",
        "Find the places in this repository that a question, a name, an error message or a piece"
        " of code is about, ranked by meaning and by words. Begin here rather than with grep when"
        " you do not know the exact name. Answers PATH:LINES, the definition there and its first"
        " lines; read or definition give more.",
        {
            "query": Text("Words, a question, a name, or code", is_required=True),
            "limit": Number("Results at most", 1, _MAX_RESULTS, 8),
            "near": Text(f"{_FILE}, that you work in: what it imports comes up"),
            "max_tokens": max_tokens(1_500),
        },
        Tools.search,
    ),
    ToolSpec(
        "definition",
        "Go to a definition",
        "Where a name is defined, with its code. Takes `total`, `Cart.total` or `cart::total`."
        " Exact spelling; similar names are listed where there is none.",
        {
            "name": Text("The name, as code spells it", is_required=True),
            "near": Text(f"{_FILE}, that uses the name: what it imports comes first"),
            "limit": Number("Definitions at most", 1, _MAX_DEFINITIONS, 3),
            "max_tokens": max_tokens(2_000),
        },
        Tools.definition,
    ),
    ToolSpec(
        "callers",
        "Find callers and other uses",
        "Where a function, class or other name is called, imported or named, by syntax: no"
        " comments or strings, each with the definition around it. It goes by the name: where"
        " several definitions share it, each file says which one it most likely means, by its"
        " imports. Types of objects are not known.",
        {
            "name": Text("The name, as code spells it", is_required=True),
            "defined_in": Text(f"{_FILE}: only uses that most likely mean its definition"),
            "max_tokens": max_tokens(1_500),
        },
        Tools.callers,
    ),
    ToolSpec(
        "outline",
        "Outline a file or folder",
        "The definitions of a file with their lines and signatures, and its imports; or the files"
        " of a folder. Much shorter than the file itself.",
        {
            "path": Text("A file or folder, relative to the repository's root; empty for the root"),
            "max_tokens": max_tokens(2_000),
        },
        Tools.outline,
    ),
    ToolSpec(
        "related",
        "Find related files",
        "The files that a file imports, those that import it, and those that git's history"
        " changed together with it (closeness from 0 to 1: what else a change may have to touch)."
        " Found by conventions of paths, not by building.",
        {
            "path": Text(_FILE, is_required=True),
            "max_tokens": max_tokens(1_000),
        },
        Tools.related,
    ),
    ToolSpec(
        "read",
        "Read lines",
        "Lines of a file, numbered. Without end_line: the whole definition or piece around"
        " start_line. `neighbours` adds that many pieces above and below.",
        {
            "path": Text(_FILE, is_required=True),
            "start_line": Number("First line, from 1", 1, _MAX_LINE, 1),
            "end_line": Number("Last line", 1, _MAX_LINE),
            "neighbours": Number("Pieces above and below to add", 0, _MAX_NEIGHBOURS, 0),
            "max_tokens": max_tokens(3_000),
        },
        Tools.read,
    ),
)

TOOLS = {spec.name: spec for spec in _SPECS}
