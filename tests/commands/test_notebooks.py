"""Notebooks: cells are completed, indexed and reviewed; their JSON never is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.completion.notebook import cell_document, written_form
from codebuddy.datatypes import Document, Position
from codebuddy.errors import DocumentError, UsageError
from codebuddy.index.analysis import analyze
from codebuddy.syntax.notebook import (
    NotebookError,
    offset_in_string,
    place_in_string,
    read_notebook,
)
from tests.support.engine import codebuddy, json_of
from tests.support.hook import Project, evidence, staged_review
from tests.support.index import index, make_repository
from tests.support.lsp import INLINE, Client, editing
from tests.support.notebook import code, line_with, markdown, notebook, sources
from tests.support.serve import serving
from tests.support.tui_pilot import journey

CELLS = (
    code("import json\n\ndef load_shop(path):\n    return json.loads(path)\n", "iVBORw0KGgo" * 9),
    markdown("# The shop\nSome prose about zebras."),
    code('shop = "é\\t\\"q\\""\nname = load_shop(', "unindexedoutput"),
    code("print(name)"),
)


def document(text: str, path: str = "shop.ipynb") -> Document:
    """The file as a document."""
    return Document(path, text, Path("/nowhere") / path)


@pytest.mark.parametrize("form", ["lines", "texts"])
def test_a_line_of_the_file_is_a_place_in_its_cell(form):
    """The text is that of the cells above and of the cell, as a person sees them."""
    text = notebook(*CELLS, form=form)
    line = line_with(text, "name = load_shop(")
    found, position = cell_document(document(text), line, None)
    lines = found.text.split("\n")
    assert found.language == "python"
    assert found.text == CELLS[0]["source"].rstrip() + "\n\n" + CELLS[2]["source"]
    assert lines[position.line - 1][: position.column - 1] == "name = load_shop("
    assert found.in_file is not None
    assert (found.cell, found.in_file.line) == (3, line)


@pytest.mark.parametrize("form", ["lines", "texts", "one line"])
def test_a_column_of_the_file_is_a_place_in_the_cell(form):
    """In every form of a notebook; an escape is one character of the cell."""
    text = notebook(*CELLS, form=form)
    before, _, _ = text.partition('q\\\\\\"')
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    found, position = cell_document(document(text), line, column)
    assert found.text.split("\n")[position.line - 1][: position.column - 1] == 'shop = "é\\t\\"'


@pytest.mark.parametrize("form", ["lines", "texts"])
def test_a_line_outside_of_any_source_is_one_clear_sentence(form):
    """Outputs, metadata and brackets are no code; a line that could do is named."""
    text = notebook(*CELLS, form=form)
    for wanted in ("iVBORw0KGgo", '"cell_type"', '"metadata"', "nbformat_minor"):
        line = line_with(text, wanted)
        with pytest.raises(
            UsageError, match=f"line {line} of shop.ipynb holds no source"
        ) as caught:
            cell_document(document(text), line, None)
        named = int(caught.value.hint.rpartition(":")[2])
        cell_document(document(text), named, None)
    with pytest.raises(UsageError, match="there is no line 999"):
        cell_document(document(text), 999, None)
    with pytest.raises(UsageError, match="lies outside of the cell's source"):
        cell_document(document(text), line_with(text, "import json"), 1)
    packed = notebook(*CELLS, form="one line")
    with pytest.raises(UsageError, match="holds the sources of 4 cells"):
        cell_document(document(packed), 1, None)


def test_other_cells_stand_alone():
    """Prose is completed as Markdown, an empty cell as code, another language as that."""
    text = notebook(*CELLS, code(""), code("%%bash\nls "), code("%%time\nx = 1"))
    prose, _ = cell_document(document(text), line_with(text, "zebras"), None)
    assert (prose.language, prose.text) == ("markdown", CELLS[1]["source"])
    empty, position = cell_document(document(text), line_with(text, '"source": []'), None)
    assert empty.text.endswith("print(name)\n\n")
    assert (position.column, empty.language) == (1, "python")
    shell, _ = cell_document(document(text), line_with(text, "ls "), None)
    assert (shell.language, shell.text) == ("bash", "%%bash\nls ")
    timed, _ = cell_document(document(text), line_with(text, "x = 1"), None)
    assert timed.language == "python"
    assert timed.text.startswith("import json")


BAD = {
    "no JSON": "import os\n",
    "broken": '{"cells": [{"cell_type": "code", "source": ["a',
    "deep": '{"cells": ' + "[" * 200_000,
    "deep metadata": '{"metadata": ' + '{"a":' * 200_000 + "1" + "}" * 200_000 + ', "cells": []}',
    "a list": "[]",
    "no cells": '{"nbformat": 4}',
    "cells of numbers": '{"cells": [1, 2], "nbformat": 4}',
    "source of numbers": '{"cells": [{"cell_type": "code", "source": [1]}], "nbformat": 4}',
    "source of objects": '{"cells": [{"cell_type": "code", "source": {}}], "nbformat": 4}',
    "old": '{"nbformat": 3, "worksheets": [{"cells": []}]}',
    "a conflict": '{"cells": [\n<<<<<<< ours\n], "nbformat": 4}',
    "twice": '{"cells": [], "nbformat": 4} {}',
    "a huge number": '{"nbformat": ' + "9" * 10_000 + ', "cells": []}',
    "empty": "",
    "too many cells": '{"cells": ['
    + ",".join(['{"cell_type": "code", "source": ""}'] * 10_001)
    + '], "nbformat": 4}',
    "too many lines": '{"cells": [{"cell_type": "code", "source": ['
    + ",".join(['"a\\n"'] * 60_000)
    + '], "metadata": {}}], "nbformat": 4}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_no_notebook_is_one_clear_sentence(text):
    """For the person who completes; the index leaves it out."""
    with pytest.raises(NotebookError):
        read_notebook(text)
    with pytest.raises(DocumentError, match="is no notebook that can be read: "):
        cell_document(document(text), 1, None, must_be_notebook=True)
    analysis = analyze("shop.ipynb", text.encode())
    assert (analysis.chunks, analysis.unreadable) == ((), "broken notebook")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60), st.booleans())
def test_places_in_strings_lead_there_and_back(source, is_ascii):
    """Whatever is written in a cell, and however JSON writes it."""
    content = {"cells": [{"cell_type": "code", "source": source}], "nbformat": 4}
    text = json.dumps(content, ensure_ascii=is_ascii)
    [cell] = read_notebook(text).cells
    [string] = cell.strings
    assert string.text == source
    for offset in range(len(source) + 1):
        place = place_in_string(text, string, offset)
        assert offset_in_string(text, string, place) == offset
        assert json.loads(f'"{text[string.start : place]}"') == source[:offset]


@given(
    st.sampled_from(["lines", "texts", "one line"]),
    st.text(alphabet=st.sampled_from(["a", '"', "\\", "\n", "é", "\t", " ", "𝄞"]), max_size=20),
    st.text(alphabet=st.sampled_from(["b", '"', "\\", "\n", "ü"]), min_size=1, max_size=12),
)
def test_what_is_inserted_is_read_again_and_nothing_else_changes(form, source, inserted):
    """At every place of a cell; the text before and behind is the same byte for byte."""
    source += "x"
    text = notebook(code("above"), code(source), markdown("below"), form=form)
    read = read_notebook(text)
    cell = read.cells[1]
    done = 0
    for string in cell.strings:
        for offset in range(len(string.text.removesuffix("\n")) + 1):
            place = place_in_string(text, string, offset)
            position = Position(read.line_at(place), read.column_at(place))
            where, piece = written_form(document(text), position, inserted)
            assert where == place
            changed = text[:where] + piece + text[where:]
            expected = source[: done + offset] + inserted + source[done + offset :]
            assert sources(changed) == ["above", expected, "below"]
        done += len(string.text)


@pytest.mark.process
def test_complete_answers_with_plain_text_and_applies_it_to_the_cell(tmp_path):
    """From the command line, with and without `--apply`, in a repository that has the notebook."""
    text = notebook(*CELLS)
    root = make_repository(tmp_path / "shop", {"shop.ipynb": text, "a.py": "x = 1\n"})
    line = line_with(text, "name = load_shop(")
    arguments = ["complete", f"shop.ipynb:{line}", "--model", "echo", "--json"]
    answer = json_of(codebuddy(root, *arguments))
    # Echo answers with the last line before the cursor.
    assert answer["text"] == "name = load_shop("
    written = text.split("\n")[line - 1]
    assert (answer["file"], answer["line"], answer["cell"]) == ("shop.ipynb", line, 3)
    assert answer["column"] == written.index("load_shop(") + len("load_shop(") + 1
    piped = json_of(codebuddy(root, *arguments, "--stdin", stdin=text.encode()))
    assert piped["text"] == answer["text"]
    assert (root / "shop.ipynb").read_text() == text
    applied = codebuddy(root, *arguments[:-1], "--apply")
    assert applied.returncode == 0, applied.stderr
    changed = (root / "shop.ipynb").read_text()
    assert sources(changed)[2] == CELLS[2]["source"] + "name = load_shop("
    assert len(changed) == len(text) + len("name = load_shop(")
    wrong = codebuddy(root, "complete", f"shop.ipynb:{line_with(text, 'nbformat')}")
    assert wrong.returncode == 2
    assert "holds no source of a cell" in wrong.stderr


@pytest.mark.usefixtures("engine")
def test_the_engine_completes_cells_too(tmp_path):
    """The same answer through the warm engine."""
    text = notebook(*CELLS)
    root = make_repository(tmp_path / "shop", {"shop.ipynb": text})
    line = line_with(text, "name = load_shop(")
    arguments = ["complete", f"shop.ipynb:{line}", "--model", "echo", "--json"]
    through = json_of(codebuddy(root, *arguments))
    alone = json_of(codebuddy(root, *arguments, "--no-engine"))
    assert through["engine"] is not None
    assert [through[key] for key in ("text", "line", "column", "cell")] == [
        alone[key] for key in ("text", "line", "column", "cell")
    ]


@pytest.mark.parametrize("form", ["lines", "texts", "one line"])
def test_the_index_holds_the_code_of_the_cells(form):
    """In the kernel's language, without outputs; lines are those of the file."""
    text = notebook(*CELLS, form=form)
    analysis = analyze("shop.ipynb", text.encode())
    assert analysis.language == "python"
    assert analysis.text is not None
    pieces = [analysis.text[each.start_byte : each.end_byte] for each in analysis.chunks]
    assert b"".join(pieces) == analysis.text
    assert b"iVBORw0KGgo" not in analysis.text
    assert b"unindexedoutput" not in analysis.text
    assert b"cell_type" not in analysis.text
    assert b"zebras" in analysis.text
    load = next(each for each in analysis.definitions if each.name == "load_shop")
    assert load.line == line_with(text, "def load_shop")
    chunk = next(each for each in analysis.chunks if each.symbol == "load_shop")
    assert chunk.start_line == line_with(text, "import json")
    assert analysis.imports == ("json",)
    assert {"The shop"}.isdisjoint(each.name for each in analysis.definitions)


def test_magics_do_not_hide_the_code_around_them():
    """Lines for IPython alone are masked for the parser and kept in the text."""
    source = "%matplotlib inline\n!pip install x\ndef wanted():\n    return 1\n"
    analysis = analyze("a.ipynb", notebook(code(source), code("%%bash\ndef no() {")).encode())
    assert [each.name for each in analysis.definitions] == ["wanted"]
    assert analysis.text is not None
    assert b"%matplotlib inline" in analysis.text


@pytest.mark.parametrize(
    ("language", "expected"),
    [("R", "text"), ("C++17", "cpp"), ("julia", "julia"), ("C#", "c_sharp"), ("python3", "python")],
)
def test_the_kernel_says_the_language(language, expected):
    """By the names that kernels give it."""
    text = notebook(code("x <- 1"), language=language)
    assert analyze("a.ipynb", text.encode()).language == expected


@pytest.mark.process
def test_search_and_lookups_lead_into_notebooks_and_out_of_them(tmp_path):
    """A search finds the cell's line in the file; a cell looks up what a module defines."""
    body = "".join(f"    total = first * {number}\n" for number in range(20))
    text = notebook(
        code("from pricing import format_price\n", "zebraoutput"),
        code("def unusual_sum(a):\n    return a"),
        code("shown = format_price("),
    )
    root = make_repository(
        tmp_path / "shop",
        {
            "shop.ipynb": text,
            "pricing.py": f"def format_price(first):\n{body}    return total\n",
            "broken.ipynb": "{",
        },
    )
    assert index(root).skipped == {"broken notebook": 1}
    found = json_of(codebuddy(root, "search", "unusual sum", "--json"))["results"]
    assert (found[0]["path"], found[0]["line"]) == ("shop.ipynb", line_with(text, "unusual_sum"))
    assert json_of(codebuddy(root, "search", "zebraoutput", "--json"))["results"] == []
    place = f"shop.ipynb:{line_with(text, 'shown = ')}"
    options = ["--model", "echo", "--retrieve", "always", "--json"]
    answer = json_of(codebuddy(root, "complete", place, *options))
    assert [each["symbol"] for each in answer["chunks"]][:1] == ["format_price"]


PRICING = """\
def format_price(cents):
    whole = cents // 100
    rest = cents % 100
    return f'{whole}.{rest}'
"""


@pytest.mark.process
def test_the_hook_patches_the_cells_of_notebooks(tmp_path):
    """A renamed function is still used in a cell: the patch is JSON, and changes that alone."""
    text = notebook(
        markdown("prices"),
        code('from pricing import format_price\nx = "q"; y = format_price(2)\nz = 1'),
    )
    project = Project(tmp_path / "shop", {"pricing.py": PRICING, "shop.ipynb": text})
    project.index()
    project.stage({"pricing.py": PRICING.replace("format_price", "price_text")})
    [finding] = project.findings("CB102")
    lines = [line_with(text, "from pricing"), line_with(text, "y = format")]
    assert evidence(finding) == [f"shop.ipynb:{line}" for line in lines]
    project.codebuddy("hook", "run", "--staged")
    applied = project.codebuddy("hook", "apply", finding.id)
    assert applied.returncode == 0, applied.stderr
    changed = (project.root / "shop.ipynb").read_text()
    assert changed == text.replace("format_price", "price_text")


def test_the_hook_reviews_the_new_code_of_notebooks(tmp_path):
    """Leftovers and wrong imports in cells, at their lines in the file, in every form."""
    before = {"pricing.py": PRICING}
    for form in ("lines", "texts", "one line"):
        text = notebook(
            markdown("breakpoint()"),
            code("from pricing import format_prise\nbreakpoint()\nx = 1", "breakpoint()"),
            form=form,
        )
        folder = tmp_path / form
        [left] = staged_review(folder, before, {"a.ipynb": text}, "CB108")
        place = line_with(text, "format_prise") + (form == "lines")
        assert (left.path, left.line) == ("a.ipynb", place)
        project = Project(tmp_path / f"{form} again", before)
        project.index()
        project.stage({"a.ipynb": text})
        [wrong] = project.findings("CB103")
        assert wrong.line == line_with(text, "format_prise")
        if form == "lines":
            assert [each.new for each in wrong.edits] == [
                '    "from pricing import format_price\\n",'
            ]
        else:
            assert wrong.edits == ()


def test_a_leftover_that_ends_a_list_has_no_patch(tmp_path):
    """Without the last text of a list, the one before it would have a comma too many."""
    text = notebook(code("x = 1\nbreakpoint()"), code("breakpoint()\nx = 1"))
    found = staged_review(tmp_path / "one", {}, {"a.ipynb": text}, "CB108")
    assert [bool(each.edits) for each in found] == [False, True]


def test_the_hook_still_sees_secrets_and_conflicts_in_the_file(tmp_path):
    """A token in an output, and a notebook that a merge left broken."""
    token = "ghp_" + "A1b2C3d4E5" * 3 + "f6G7h8"
    text = notebook(code("x = 1", token))
    found = staged_review(tmp_path / "one", {}, {"a.ipynb": text}, "CB110")
    assert [(each.path, each.line) for each in found] == [("a.ipynb", line_with(text, token))]
    broken = '{"cells": [\n<<<<<<< ours\n1\n=======\n2\n>>>>>>> theirs\n]}\n'
    [finding] = staged_review(tmp_path / "two", {}, {"a.ipynb": broken}, "CB109")
    assert finding.line == 2


CELL_URI = "vscode-notebook-cell:{root}/shop.ipynb#W{number}"


def cell_item(client: Client, number: int, text: str, language: str = "python") -> dict:
    """A cell as an editor opens it."""
    uri = CELL_URI.format(root=client.root, number=number)
    return {"uri": uri, "languageId": language, "version": 1, "text": text}


@pytest.fixture
def editor(repository, own_home):
    """An editor in the shop."""
    with editing(repository, own_home) as client:
        client.initialize({**INLINE, "notebookDocument": {"synchronization": {}}})
        yield client


def open_notebook(client: Client, *texts: tuple[str, int, str]) -> list[str]:
    """A notebook of cells (text, kind, language), kept in step as the protocol says."""
    items = [cell_item(client, n, text, name) for n, (text, _, name) in enumerate(texts)]
    cells = [
        {"kind": kind, "document": item["uri"]}
        for (_, kind, _), item in zip(texts, items, strict=True)
    ]
    described = {
        "uri": client.uri("shop.ipynb"),
        "notebookType": "jupyter-notebook",
        "version": 1,
        "cells": cells,
    }
    client.notify(
        "notebookDocument/didOpen", {"notebookDocument": described, "cellTextDocuments": items}
    )
    return [item["uri"] for item in items]


def receipt(client: Client) -> dict:
    """That of the newest suggestion."""
    answer = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
    found: dict = answer["result"]
    return found


@pytest.mark.process
def test_a_cell_in_an_editor_is_completed_with_the_cells_above_it(editor):
    """The code above is the prefix; prose and what stands below are not."""
    uris = open_notebook(
        editor,
        ("first = 1\nsecond = 2", 2, "python"),
        ("# prose", 1, "markdown"),
        ("third = ", 2, "python"),
        ("below = 3", 2, "python"),
    )
    # Echo answers with the last line before the cursor that holds text.
    assert editor.suggested(uris[2], 0, 8) == "third ="
    found = receipt(editor)
    # Two lines and a blank one stand above.
    assert (found["file"], found["line"], found["column"]) == ("shop.ipynb", 4, 9)
    assert line_in_prefix(editor, uris[0]) == 1
    assert line_in_prefix(editor, uris[3]) == 6


def line_in_prefix(client: Client, uri: str) -> int:
    """The line that a cell's first line is of the text that is completed."""
    assert client.suggested(uri, 0, 5)
    found: int = receipt(client)["line"]
    return found


@pytest.mark.process
def test_cells_that_come_go_and_change_are_followed(editor):
    """Moved cells, new ones and their texts."""
    uris = open_notebook(editor, ("first = 1", 2, "python"), ("second = ", 2, "python"))
    assert line_in_prefix(editor, uris[1]) == 3
    new = cell_item(editor, 9, "middle = 2")
    document = {"uri": editor.uri("shop.ipynb"), "version": 2}
    cells = [{"kind": 2, "document": new["uri"]}]
    structure = {"array": {"start": 1, "deleteCount": 0, "cells": cells}, "didOpen": [new]}
    change = {"notebookDocument": document, "change": {"cells": {"structure": structure}}}
    editor.notify("notebookDocument/didChange", change)
    assert line_in_prefix(editor, uris[1]) == 5
    text_change = {
        "document": {"uri": new["uri"], "version": 2},
        "changes": [{"text": "other = 3\nmore = 4\nlast = 5"}],
    }
    change = {"notebookDocument": document, "change": {"cells": {"textContent": [text_change]}}}
    editor.notify("notebookDocument/didChange", change)
    assert line_in_prefix(editor, uris[1]) == 7
    structure = {"array": {"start": 1, "deleteCount": 1}, "didClose": [{"uri": new["uri"]}]}
    change = {"notebookDocument": document, "change": {"cells": {"structure": structure}}}
    editor.notify("notebookDocument/didChange", change)
    assert line_in_prefix(editor, uris[1]) == 3
    closed = {
        "notebookDocument": {"uri": editor.uri("shop.ipynb")},
        "cellTextDocuments": [{"uri": uri} for uri in uris],
    }
    editor.notify("notebookDocument/didClose", closed)
    assert "error" in editor.inline(uris[1], 0, 0)


@pytest.mark.process
def test_the_server_says_that_it_keeps_notebooks_in_step(repository, own_home):
    """To an editor that can; others get no such offer."""
    both = {**INLINE, "notebookDocument": {"synchronization": {}}}
    for capabilities, offers in ((both, True), (INLINE, False)):
        with editing(repository, own_home) as client:
            answer = client.initialize(capabilities)["result"]["capabilities"]
            assert ("notebookDocumentSync" in answer) == offers


@pytest.mark.process
def test_cells_opened_as_plain_documents_follow_each_other(editor):
    """Of one notebook, in the order of their opening; another notebook's are not theirs."""
    first = cell_item(editor, 1, "first = 1")
    other = cell_item(editor, 2, "other = 2")
    other["uri"] = other["uri"].replace("shop", "another")
    second = cell_item(editor, 3, "second = ")
    for item in (first, other, second):
        editor.notify("textDocument/didOpen", {"textDocument": item})
    assert line_in_prefix(editor, second["uri"]) == 3
    assert receipt(editor)["file"] == "shop.ipynb"
    assert line_in_prefix(editor, other["uri"]) == 1


@pytest.mark.process
@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("git:{root}/cart.py?%7B%22ref%22%3A%22HEAD%22%7D", "cart.py"),
        ("fugitive://{root}/.git//0/cart.py", "cart.py"),
        ("gitlens:{root}/cart.py?x", "cart.py"),
        ("git:/elsewhere/cart.py", "untitled.py"),
        ("untitled:Untitled-1", "untitled.py"),
        ("inmemory://model/1", "untitled.py"),
    ],
)
def test_other_views_of_a_file_get_what_an_unnamed_buffer_gets(editor, uri, file):
    """Their text is the editor's; the path is kept where it lies in the workspace."""
    opened = editor.open(uri.format(root=editor.root), "value = 1\nother = ")
    assert editor.suggested(opened, 1, 8) == "other ="
    assert receipt(editor)["file"] == file


@pytest.mark.process
def test_the_json_of_a_notebook_is_never_completed_in_an_editor(editor):
    """A notebook opened as a text gets nothing, and the log says why, once."""
    text = notebook(*CELLS)
    uri = editor.open("shop.ipynb", text, "json")
    line = line_with(text, "name = load_shop(") - 1
    assert editor.suggested(uri, line, 10) == ""
    assert editor.suggested(uri, line, 11) == ""
    assert sum("open as a notebook's JSON" in each for each in editor.messages()) == 1
    # What an editor made of it is code.
    plain = editor.open("plain.ipynb", "value = 1\nother = ", "python")
    assert editor.suggested(plain, 1, 8) == "other ="


@pytest.mark.process
def test_serve_refuses_the_json_of_a_notebook_and_completes_its_code(repository, own_home):
    """The client would put plain text into JSON."""
    text = notebook(*CELLS)
    before, _, after = text.partition("print(name)")
    with serving(repository, own_home) as server:
        body = {"input_prefix": before, "input_suffix": after, "prompt": "", "filename": "a.ipynb"}
        refused = server.request("POST", "/infill", body)
        assert refused.status == 400
        assert "is a notebook's JSON" in refused.json()["error"]["message"]
        body |= {"input_prefix": "value = 1\nother = ", "input_suffix": ""}
        answer = server.request("POST", "/infill", body)
        assert answer.json()["content"] == "other ="


@pytest.mark.asyncio
async def test_the_editor_in_the_terminal_suggests_nothing_in_json(repository):
    """It says where cells are completed, when asked."""
    (repository / "shop.ipynb").write_text(notebook(*CELLS))
    async with journey(repository, "shop.ipynb") as one:
        await one.type("x")
        assert not one.workspace.suggester.is_running
        await one.press("ctrl+space")
        await one.until(lambda: one.shows("codebuddy complete shop.ipynb"))
        assert one.editor.ghost is None
