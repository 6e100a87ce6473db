"""Holes are what they say, come from the code that people write, and change nothing."""

from __future__ import annotations

import hashlib

import pytest

from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.syntax import count_errors
from tests.support.evaluation import CART, FILES, commit, indexed, make_shop
from tests.support.index import run_git, write

TYPESCRIPT = {
    "src/money.ts": "export function formatCents(cents: number): string {\n"
    "  const euros = cents / 100;\n  return euros.toFixed(2);\n}\n",
    "src/view.ts": "import { formatCents } from './money';\n\n"
    "export function row(name: string, cents: number) {\n"
    "  const price = formatCents(cents);\n  return name + price;\n}\n",
}
RUST = {
    "src/money.rs": "pub fn format_cents(cents: u64) -> String {\n"
    '    let euros = cents / 100;\n    format!("{}", euros)\n}\n',
    "src/main.rs": "mod money;\nuse crate::money::format_cents;\n\n"
    "fn row(cents: u64) -> String {\n    let price = format_cents(cents);\n    price\n}\n",
}
GO = {
    "bill/money.go": "package bill\n\nfunc FormatCents(cents int) string {\n"
    "\teuros := cents / 100\n\treturn string(rune(euros))\n}\n",
    "bill/view.go": "package bill\n\nfunc Row(cents int) string {\n"
    "\tprice := FormatCents(cents)\n\treturn price\n}\n",
}


def _cut(root, kinds=KINDS, count=50, seed=0) -> list[Hole]:
    with indexed(root) as (repository, index):
        return cut_holes(repository, index, kinds, count, seed)


def test_a_hole_and_its_document_are_the_file(tmp_path):
    """Put back at its position, the text gives the file byte for byte."""
    root = make_shop(tmp_path / "r")
    holes = _cut(root)
    assert {hole.kind for hole in holes} == set(KINDS)
    for hole in holes:
        lines = hole.document.split("\n")
        offset = sum(len(line) + 1 for line in lines[: hole.position.line - 1])
        offset += hole.position.column - 1
        whole = hole.document[:offset] + hole.text + hole.document[offset:]
        assert whole.encode() == (root / hole.path).read_bytes()
        assert hole.text.strip() == hole.text != ""


def test_lines_end_where_their_line_ends_and_hold_code(tmp_path):
    """A line hole ends with its line, is no import, comment or docstring, and says something."""
    root = make_shop(
        tmp_path / "r", {"a.py": CART + "\n\n# only words here\nvalue = (\n    3\n)\n"}
    )
    holes = _cut(root, ["line"])
    assert len(holes) > 8
    for hole in holes:
        assert "\n" not in hole.text
        assert hole.source[hole.end_byte : hole.end_byte + 1] == b"\n"
        assert not hole.text.startswith(("#", "import", "from"))
        assert any(character.isalnum() for character in hole.text)


def test_calls_lead_to_their_definition_in_another_file(tmp_path):
    """Calls of imported functions are cut, with where they are defined; others are not."""
    holes = _cut(make_shop(tmp_path / "r"), ["call"])
    assert {hole.callee for hole in holes} == {"apply_discount", "shipping_cost"}
    for hole in holes:
        (definition,) = hole.definitions
        assert definition.path == "shop/pricing.py"
        assert definition.name == hole.callee
        before = hole.source[: hole.start_byte].decode()
        assert before.endswith(f"{hole.callee}(") == hole.is_callee_typed
        assert hole.is_callee_typed or hole.text.startswith(hole.callee)
        assert hole.is_callee_typed or hole.calls[0] in ("apply_discount", "shipping_cost")


@pytest.mark.parametrize("files", [TYPESCRIPT, RUST, GO], ids=["typescript", "rust", "go"])
def test_calls_are_found_in_other_languages(tmp_path, files):
    """Imports of TypeScript and Rust, and the names of a Go package, lead to other files."""
    holes = _cut(make_shop(tmp_path / "r", files), ["call"])
    assert {hole.callee.lower().replace("_", "") for hole in holes} == {"formatcents"}
    assert {definition.path for hole in holes for definition in hole.definitions} <= set(files)


def test_a_name_alone_makes_no_call_across_files(tmp_path):
    """A method or function that merely shares its name with one of the repository is not cut."""
    files: dict[str, str | bytes] = {
        "store.py": "def append(row):\n    return row\n\n\ndef join(a, b):\n    return 1\n",
        "use.py": "from os.path import join\n\n\ndef run(rows):\n    rows.append(join('a', 'b'))\n"
        "    return rows\n",
    }
    assert _cut(make_shop(tmp_path / "r", files), ["call"]) == []


def test_a_method_of_a_type_is_that_types_own(tmp_path):
    """Of many types with a method of one name, the call means the type before the dot."""
    files: dict[str, str | bytes] = {
        f"shop/kind{i}.py": f"class Kind{i}:\n    @staticmethod\n"
        f"    def make(a):\n        return {i}\n"
        for i in range(6)
    }
    files["shop/use.py"] = (
        "from shop.kind3 import Kind3\nfrom shop.other import Other\n\n\n"
        "def run(value):\n    first = Kind3.make(value)\n    second = Other.make(value)\n"
        "    return first + second\n"
    )
    holes = _cut(make_shop(tmp_path / "r", files), ["call"])
    assert [d.path for hole in holes for d in hole.definitions] == ["shop/kind3.py"]


def test_one_callee_is_not_most_of_the_calls(tmp_path):
    """A function that is called everywhere leaves room for the others."""
    files: dict[str, str | bytes] = {
        "lib.py": "".join(f"def tool_{i}(a):\n    return a\n\n\n" for i in range(30))
    }
    for i in range(30):
        files[f"use{i}.py"] = f"from lib import tool_0, tool_{i}\n\n\ndef run(value):\n" + "".join(
            f"    step{j} = tool_{i if j == 0 else 0}(value)\n" for j in range(8)
        )
    holes = _cut(make_shop(tmp_path / "r", files), ["call"], count=20)
    assert len(holes) == 20
    assert sum(hole.callee == "tool_0" for hole in holes) <= 2


def test_blocks_are_bodies_of_two_to_twelve_lines(tmp_path):
    """A block hole is all statements of a body but the docstring; what is left still parses."""
    for hole in _cut(make_shop(tmp_path / "r"), ["block"]):
        lines = hole.text.split("\n")
        assert 2 <= len(lines) <= 12
        assert not hole.text.startswith('"""')
        filled = hole.document.encode()
        filled = filled[: hole.start_byte] + b"pass" + filled[hole.start_byte :]
        assert count_errors(filled, "python") == 0


def test_the_same_seed_gives_the_same_holes(tmp_path):
    """Seeds decide; nothing else does."""
    root = make_shop(tmp_path / "r")
    first = [hole.id for hole in _cut(root, count=4)]
    assert first == [hole.id for hole in _cut(root, count=4)]
    assert first != [hole.id for hole in _cut(root, count=4, seed=1)]
    assert len(first) == len(set(first))


def test_kinds_come_in_turn_and_no_more_than_asked(tmp_path):
    """Any beginning of the list is balanced between the kinds."""
    holes = _cut(make_shop(tmp_path / "r"), count=2)
    assert [hole.kind for hole in holes] == ["line", "call", "block"] * 2


def test_recently_changed_files_come_first(tmp_path):
    """With few holes to cut, they are cut where somebody works."""
    files: dict[str, str | bytes] = {
        f"old{i}.py": f"def work{i}(value):\n    result = value + {i}\n    return result\n"
        for i in range(8)
    }
    root = make_shop(tmp_path / "r", files)
    for number in range(201):
        run_git(root, "commit", "-qm", f"note {number}", "--allow-empty")
    write(root, {"new.py": "def fresh(value):\n    grown = value * 2\n    return grown\n"})
    commit(root)
    run_git(root, "gc", "-q")
    found = {hole.path for hole in _cut(root, ["line"], count=1)}
    # Empty commits are none that changed files, so the first one is still among the recent.
    assert found <= {"new.py", *files}
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", str(shallow))
    assert _cut(shallow, ["line"], count=1)


def test_cutting_changes_neither_tree_nor_index(tmp_path):
    """A dirty tree stays as it is, to the byte, and so does git's index."""
    root = make_shop(tmp_path / "r")
    write(root, {"shop/cart.py": CART + "\n\ndef unsaved():\n    first = 1\n    return first\n"})
    run_git(root, "add", "shop/cart.py")
    write(root, {"untracked.py": "def loose(a):\n    b = a + 1\n    return b\n"})

    def state():
        files = {f: f.read_bytes() for f in sorted(root.rglob("*.py"))}
        git_index = hashlib.sha256((root / ".git" / "index").read_bytes()).hexdigest()
        return files, git_index, run_git(root, "status", "--porcelain")

    before = state()
    paths = {hole.path for hole in _cut(root)}
    assert state() == before
    assert "untracked.py" in paths


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": "# Words\n\nOnly words.\n"},
        {"empty.py": ""},
        {"data.json": '{"a": [1, 2, 3]}\n', "style.css": "a { color: red }\n"},
        {"packed.js": "function a(){return 1};" * 400 + "\n"},
        {"gen.py": "# @generated by a tool, do not edit\ndef f(a):\n    b = a\n    return b\n"},
        {"unknown.py": b"def f(a):\n    b = '\x81'\n    return b\n"},
        {"broken.py": "def (((\n  ]]]\n"},
    ],
)
def test_without_code_there_are_no_holes(tmp_path, files):
    """Repositories without code that somebody writes give none, and no error."""
    assert _cut(make_shop(tmp_path / "r", files)) == []


def test_one_file_gives_lines_and_blocks(tmp_path):
    """A repository of one file has no calls across files, and all else."""
    root = make_shop(tmp_path / "r", {"one.py": FILES["shop/pricing.py"]})
    assert {hole.kind for hole in _cut(root)} == {"line", "block"}


def test_without_a_commit_holes_are_still_cut(tmp_path):
    """A repository that has no commit yet is its work tree."""
    from tests.support.index import make_repository

    holes = _cut(make_repository(tmp_path / "r", FILES))
    assert {hole.commit for hole in holes} == {""}
    assert len(holes) > 5
