"""Notebooks: the texts that stand behind lines of the file, in every form of its JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.completion import retrieval
from codebuddy.completion.context import build_context
from codebuddy.completion.lookalikes import cursor_text
from codebuddy.completion.notebook import cell_document
from codebuddy.datatypes import Chunk, Definition, Document, Position
from codebuddy.errors import UsageError
from codebuddy.index.file_lines import FileLines, has_own_lines
from codebuddy.index.outline import signature_form
from codebuddy.index.search import RepositoryIndex
from codebuddy.serve.agents.pages import code_page
from codebuddy.service import code_questions
from codebuddy.service.code_reader import CodeReader
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, make_repository
from tests.support.notebook import Form, code, line_with, markdown, notebook

FORMS: list[Form] = ["lines", "texts", "one line"]
CELLS = [
    code("import math\n\ndef first(x):\n    return x + 1\n"),
    markdown("# About areas\n"),
    code('def area(radius):\n    """Area."""\n    return math.pi * radius ** 2\n', "png"),
    code("a = first(1)\nb = area(2)\nprint(a, b)"),
]
AREA = ("def area(radius):", '    """Area."""', "    return math.pi * radius ** 2")


def ask(root: Path, question, *arguments):
    reader = CodeReader(root)
    return reader.ask(lambda index: question(index, *arguments), CancellationToken()).value


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    chosen: Form = request.param
    return chosen


@pytest.fixture
def root(form, tmp_path) -> Path:
    return make_repository(tmp_path / "r", {"n.ipynb": notebook(*CELLS, form=form)})


def test_a_definition_in_a_notebook_has_its_own_text(root):
    """Its line is that of the file, its text that of the cell."""
    text = (root / "n.ipynb").read_text()
    token = CancellationToken()
    ((found, shown),) = ask(root, code_questions.find_definitions, "area", "", token, 5).found
    assert found.line == line_with(text, "def area")
    assert shown.lines == AREA
    assert shown.start == found.line


def test_uses_in_a_notebook_show_their_lines(root, form):
    """Where a line of the file is many, the first one with the name, and not what it lies in."""
    text = (root / "n.ipynb").read_text()
    uses = ask(root, code_questions.find_uses, "area", "", CancellationToken()).found
    assert [each.line for each in uses] == [line_with(text, "area(2)")]
    assert uses[0].text == ("def area(radius):" if form == "one line" else "b = area(2)")
    assert uses[0].inside == ""


def test_lines_of_a_notebook_are_read_by_their_numbers_in_the_file(tmp_path):
    """Lines of cells have gaps between them; what lies in a gap is told with the next line."""
    text = notebook(*CELLS)
    root = make_repository(tmp_path / "r", {"n.ipynb": text})
    at, end = line_with(text, "def area"), line_with(text, "print(a, b)")
    found = ask(root, code_questions.read_lines, "n.ipynb", at, at + 2, 0)
    assert (found.start, found.lines, found.numbers) == (at, AREA, ())
    assert found.n_lines == end
    both = ask(root, code_questions.read_lines, "n.ipynb", at + 2, end, 0)
    assert both.numbers == (at + 2, end - 2, end - 1, end)
    assert [line for _, line in both.numbered] == [AREA[2], *CELLS[3]["source"].split("\n")]
    assert f"{end}| print(a, b)" in code_page(both, 1_000).text()
    around = ask(root, code_questions.read_lines, "n.ipynb", at + 1, None, 0)
    assert around.lines == AREA
    with pytest.raises(UsageError, match="hold no text of a cell") as told:
        ask(root, code_questions.read_lines, "n.ipynb", at + 3, at + 4, 0)
    assert told.value.hint == f"the next text is at line {end - 2}"
    with pytest.raises(UsageError, match=f"has {end} lines"):
        ask(root, code_questions.read_lines, "n.ipynb", end + 1, None, 0)


def cells_of(number: int) -> dict:
    lines = [f"value_{number}_{i} = transform_{number}(source_{i}, scale={i})" for i in range(12)]
    return code("\n".join(lines) + "\n", "png", "png")


def test_a_window_of_a_notebook_holds_its_chunks_own_code(tmp_path, form):
    """Under the lines that it has in the file; there is none where those are not known."""
    text = notebook(*map(cells_of, range(12)), form=form)
    root = make_repository(tmp_path / "r", {"n.ipynb": text})
    index(root, embedder="none")
    document = Document("a.py", "value_4_0 = transform_4(source_0, scale=0)\n", tmp_path / "a.py")
    context = build_context(document, Position(2, 1), "python")
    settings = Settings(index=IndexSettings(jobs=1, embedder="none"))
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        pieces = retrieval.find_pieces(context, opened, cursor_text(context))
    windows = [each.chunk for each in pieces if each.kind == "window"]
    assert bool(windows) == (form == "lines")
    for window in windows:
        lines = window.text.removesuffix("\n").split("\n")
        assert window.start_line == line_with(text, lines[0])
        assert window.end_line == line_with(text, lines[-1])
    assert not windows or any("transform_4" in each.text for each in windows)


def test_chunks_of_the_own_notebook_are_at_the_cursor_by_their_text(tmp_path):
    """The document's lines are those of the cells above, the chunks' those of the JSON."""
    text = notebook(*map(cells_of, range(12)))
    root = make_repository(tmp_path / "r", {"n.ipynb": text})
    index(root, embedder="none")
    file = Document("n.ipynb", text, root / "n.ipynb")
    document, position = cell_document(file, line_with(text, "value_11_11 ="), None)
    context = build_context(document, position, "python")
    settings = Settings(index=IndexSettings(jobs=1, embedder="none"))
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        pieces = retrieval.find_pieces(context, opened, cursor_text(context))
    shown = {int(each.chunk.text.split("_")[1]) for each in pieces if each.kind == "chunk"}
    # The prompt holds the 60 lines before the cursor anyway.
    assert shown == set(range(7))


def a_chunk(text: str, start_line: int, end_line: int, number: int = 1) -> Chunk:
    return Chunk(number, "n.ipynb", "python", "code", "", "", start_line, end_line, 0, 0, text)


def test_lines_that_are_cut_between_chunks_are_one():
    """A line longer than a chunk is put together again, under its number."""
    chunks = [a_chunk("a\nlong", 1, 2), a_chunk("er", 2, 2), a_chunk("est\nb\n", 2, 3)]
    lines = FileLines.of(chunks)
    assert (lines.texts, lines.numbers, lines.last) == (["a", "longerest", "b"], [1, 2, 3], 3)
    assert lines.texts[lines.between(2, 2)] == ["longerest"]
    assert FileLines.of([]).last == 0


def test_lines_that_may_be_any_of_a_chunk_are_all_found():
    """Blank lines between the strings of a cell leave open which line is which."""
    chunk = a_chunk("a = 1\nb = 2\n", 4, 60)
    lines = FileLines.of([chunk])
    assert not has_own_lines(chunk)
    assert lines.texts[lines.between(60, 60)] == ["a = 1", "b = 2"]
    assert lines.naming("b", 60) == "b = 2"
    assert lines.naming("b", 61) == ""


def test_signatures_of_a_cell_on_one_line_take_no_other_documentation():
    """Where lines are not told apart, none is said to document a name."""
    chunk = a_chunk('def a():\n    """Of a."""\n\n\ndef b():\n    return 1\n', 1, 1)
    names = [Definition(n, n, "function", "n.ipynb", 1, 1, f"def {n}():", 1) for n in "ab"]
    assert signature_form(chunk, names) == "def a():\ndef b():"
