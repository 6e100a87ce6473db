"""Questions about code: what is found, what cannot be read, updates, and cancelling."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import NotInRepositoryError, SupersededError, UsageError
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.service import code_paths, code_questions
from codebuddy.service.code_reader import CodeReader
from codebuddy.vcs.repository import open_repository
from tests.support.index import make_repository, run_git, write

FILES: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/pricing.py": (
        "def total(a):\n    return a\n\n\nclass Rate:\n    def of(self):\n        return 1\n"
    ),
    "shop/cart.py": "from shop.pricing import total\n\n\ndef sum_up(x):\n    return total(x)\n",
    "other/ledger.py": "def total(entries):\n    return sum(entries)\n\n\nprint(total([1]))\n",
    "loose.py": "import json\n\n\ndef use(thing):\n    return thing.total(1)\n",
    ".env": "SECRET=1\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", FILES)


def ask(reader: CodeReader, question, *arguments):
    """What the question answers, without what went wrong."""
    return reader.ask(lambda index: question(index, *arguments), CancellationToken()).value


def places(found) -> list[tuple[str, int]]:
    return [(each.path, each.line) for each, _ in found.found]


def test_a_definition_is_found_by_its_name_and_by_what_it_lies_in(root):
    """A class or a module before the name chooses among several; an import does too."""
    reader = CodeReader(root)
    token = CancellationToken()
    of = ask(reader, code_questions.find_definitions, "Rate.of()", "", token, 5)
    assert places(of) == [("shop/pricing.py", 6)]
    assert of.found[0][1].lines == ("    def of(self):", "        return 1")
    both = ask(reader, code_questions.find_definitions, "total", "", token, 5)
    assert set(places(both)) == {("shop/pricing.py", 1), ("other/ledger.py", 1)}
    near = ask(reader, code_questions.find_definitions, "total", "shop/cart.py", token, 1)
    assert places(near) == [("shop/pricing.py", 1)]
    module = ask(reader, code_questions.find_definitions, "ledger.total", "", token, 5)
    assert places(module) == [("other/ledger.py", 1)]


def test_a_name_that_is_nowhere_has_similar_ones(root):
    """Without a definition there is a list of what may have been meant."""
    question = code_questions.find_definitions
    found = ask(CodeReader(root), question, "sumUp", "", CancellationToken(), 5)
    assert found.found == ()
    assert ("shop/cart.py", 4) in {(each.path, each.line) for each in found.similar}


@pytest.mark.parametrize(("name", "meant"), [("shipping", 1), ("discuont", 5), ("wiegh", 9)])
def test_a_similar_name_is_the_one_that_was_meant(tmp_path, name, meant):
    """Not the first of the chunk that it stands in."""
    code = "def {}(x):\n    return x\n\n\n"
    text = "".join(code.format(each) for each in ("shipping_cost", "discount", "weigh"))
    root = make_repository(tmp_path / "r", {"p.py": text})
    found = ask(CodeReader(root), code_questions.find_definitions, name, "", CancellationToken(), 5)
    assert [each.line for each in found.similar][:1] == [meant]


def test_uses_say_which_definition_they_mean(root):
    """By the imports of their file; where nothing but the name speaks, nothing is said."""
    found = ask(CodeReader(root), code_questions.find_uses, "total", "", CancellationToken())
    assert found.meant == {
        "loose.py": "",
        "other/ledger.py": "other/ledger.py:1",
        "shop/cart.py": "shop/pricing.py:1",
    }
    only = ask(
        CodeReader(root), code_questions.find_uses, "total", "shop/pricing.py", CancellationToken()
    )
    assert [(each.path, each.line) for each in only.found] == [
        ("shop/cart.py", 1),
        ("shop/cart.py", 5),
    ]
    assert only.n_elsewhere == 2


def test_an_outline_is_of_a_file_or_a_folder(root):
    """Definitions in the order of lines; files with their lengths."""
    reader = CodeReader(root)
    file = ask(reader, code_questions.outline, "shop/pricing.py")
    assert [(each.line, each.qualified) for each in file.definitions] == [
        (1, "total"),
        (5, "Rate"),
        (6, "Rate.of"),
    ]
    folder = ask(reader, code_questions.outline, "shop")
    assert folder.files == (("shop/__init__.py", 0), ("shop/cart.py", 5), ("shop/pricing.py", 7))
    everything = ask(reader, code_questions.outline, "")
    assert ("loose.py", 5) in everything.files


def test_lines_are_read_as_asked_or_by_the_piece(root):
    """Exactly what was named; the piece around a line; and its neighbours."""
    reader = CodeReader(root)
    exact = ask(reader, code_questions.read_lines, "shop/cart.py", 1, 1, 0)
    assert exact.lines == ("from shop.pricing import total",)
    piece = ask(reader, code_questions.read_lines, "shop/cart.py", 5, None, 0)
    assert "    return total(x)" in piece.lines
    all_of_it = ask(reader, code_questions.read_lines, "shop/pricing.py", 1, None, 10)
    assert len(all_of_it.lines) == all_of_it.n_lines == 7
    beyond = ask(reader, code_questions.read_lines, "shop/cart.py", 4, 10_000, 0)
    assert beyond.start == 4
    assert beyond.lines[-1] == "    return total(x)"
    with pytest.raises(UsageError, match="has 5 lines"):
        ask(reader, code_questions.read_lines, "shop/cart.py", 6, None, 0)
    assert ask(reader, code_questions.read_lines, "shop/__init__.py", 1, None, 0).lines == ()


@pytest.mark.parametrize(
    "given", ["../x", "/etc/passwd", "a/../../x", "/", "..", "a\0b", "\ud800", "//etc/passwd"]
)
def test_a_path_outside_is_refused(root, given):
    """However it is written."""
    with pytest.raises(UsageError, match="outside the repository"):
        code_paths.path_in(root, given)


def test_a_path_inside_is_taken_however_it_is_written(root):
    """Relative, absolute, with steps back, or the root itself."""
    for given in ("shop/cart.py", "./shop/cart.py", f"{root}/shop/cart.py", "x/../shop/cart.py"):
        assert code_paths.path_in(root, given) == "shop/cart.py"
    assert code_paths.path_in(root, ".") == code_paths.path_in(root, str(root)) == ""


def test_a_path_through_a_link_to_the_repository_is_one_of_it(root, tmp_path):
    """Agents take the folder from the shell, which may have come there through a link."""
    (tmp_path / "link").symlink_to(root)
    given = f"{tmp_path}/link/shop/cart.py"
    assert code_paths.path_in(root, given) == "shop/cart.py"
    assert code_paths.path_in(root, f"{tmp_path}/link/new/file.py") == "new/file.py"
    assert code_paths.path_in(root, f"{tmp_path}/link") == ""
    with pytest.raises(UsageError, match="outside the repository"):
        code_paths.path_in(root, f"{tmp_path}/link/../other.py")


def test_what_is_not_indexed_cannot_be_read(root, tmp_path):
    """A secret, a link that leads out, a folder behind a link, and git's own files."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("password = 1\n")
    (root / "link.py").symlink_to(outside / "secret.py")
    (root / "linked").symlink_to(outside)
    run_git(root, "add", ".")
    reader = CodeReader(root)
    for path, why in [
        (".env", "keys or passwords"),
        ("link.py", "it is a link"),
        ("linked/secret.py", "not in the index"),
        (".git/config", "not in the index"),
        ("gone.py", "not in the index"),
        ("shop", "not in the index"),
    ]:
        for question in (code_questions.whole_text, code_questions.related_files):
            more = (CancellationToken(),) if question is code_questions.related_files else ()
            with pytest.raises(UsageError, match=why):
                ask(reader, question, path, *more)
        with pytest.raises(UsageError, match=why):
            ask(reader, code_questions.read_lines, path, 1, None, 0)


def test_an_answer_follows_the_files(root, monkeypatch):
    """The index is brought up to date before each question."""
    monkeypatch.setattr("codebuddy.service.joint_refresh.FRESH_FOR_S", 0.0)
    reader = CodeReader(root)
    assert ask(reader, code_questions.whole_text, "loose.py").startswith("import json")
    write(root, {"loose.py": "changed = 1\n"})
    assert ask(reader, code_questions.whole_text, "loose.py") == "changed = 1\n"
    (root / "loose.py").unlink()
    with pytest.raises(UsageError):
        ask(reader, code_questions.whole_text, "loose.py")


def test_a_damaged_index_is_built_anew(root):
    """The question is answered all the same."""
    reader = CodeReader(root)
    assert ask(reader, code_questions.outline, "shop").files
    file = open_repository(root).index_folder / DATABASE_NAME
    content = bytearray(file.read_bytes())
    content[200:-200] = b"\xff" * (len(content) - 400)
    file.write_bytes(content)
    assert ask(CodeReader(root), code_questions.outline, "shop").files


def test_many_ask_at_once_and_share_one_update(root, monkeypatch):
    """A hundred questions, one first build."""
    built = []

    def update(repository_context, progress):
        from codebuddy.service import refresh

        built.append(repository_context.root)
        return refresh.update(repository_context, progress)

    monkeypatch.setattr("codebuddy.service.joint_refresh.update", update)
    monkeypatch.setattr("codebuddy.service.joint_refresh.FRESH_FOR_S", 600.0)
    reader = CodeReader(root)
    with ThreadPoolExecutor(32) as threads:
        found = list(
            threads.map(lambda _: ask(reader, code_questions.outline, "shop").files, range(100))
        )
    assert len(found) == 100
    assert len(set(found)) == 1
    assert len(built) == 1


def test_who_is_cancelled_waits_no_longer(root, monkeypatch):
    """The update goes on for others; one cancelled before is not begun with."""
    may_go_on = threading.Event()
    begun = threading.Event()

    def update(repository_context, progress):
        from codebuddy.service import refresh

        begun.set()
        assert may_go_on.wait(60)
        return refresh.update(repository_context, progress)

    monkeypatch.setattr("codebuddy.service.joint_refresh.update", update)
    reader = CodeReader(root)
    token = CancellationToken()
    with ThreadPoolExecutor(2) as threads:
        cancelled = threads.submit(reader.ask, lambda index: 1, token)
        other = threads.submit(reader.ask, lambda index: 2, CancellationToken())
        assert begun.wait(60)
        token.cancel()
        with pytest.raises(SupersededError):
            cancelled.result(60)
        may_go_on.set()
        assert other.result(60).value == 2


def test_outside_of_a_repository_there_is_nothing_to_ask(tmp_path):
    """It says so."""
    with pytest.raises(NotInRepositoryError):
        _ = CodeReader(tmp_path).root


def test_a_heading_or_a_key_is_no_definition_of_a_name_in_code(tmp_path):
    """It comes after the code, and no use means it."""
    files: dict[str, str | bytes] = {
        "README.md": "# total\n\nWords.\n",
        "data.json": '{"total": 1, "only_key": 2}\n',
        "shop/pricing.py": "def total(a):\n    return a\n",
    }
    reader = CodeReader(make_repository(tmp_path / "r", files))
    token = CancellationToken()
    found = ask(reader, code_questions.find_definitions, "total", "", token, 5)
    assert [path for path, _ in places(found)] == ["shop/pricing.py", "README.md", "data.json"]
    uses = ask(reader, code_questions.find_uses, "total", "", token)
    assert [each.path for each in uses.definitions] == ["shop/pricing.py"]
    key = ask(reader, code_questions.find_definitions, "only_key", "", token, 5)
    assert places(key) == [("data.json", 1)]


def test_a_qualified_name_does_not_claim_the_uses_of_others(root):
    """They are marked as another definition's, and come last."""
    found = ask(
        CodeReader(root), code_questions.find_uses, "pricing.total", "", CancellationToken()
    )
    assert [(each.path, each.line) for each in found.definitions] == [("shop/pricing.py", 1)]
    assert found.meant["other/ledger.py"] == "other/ledger.py:1"
    assert [each.path for each in found.found] == [
        "loose.py",
        "shop/cart.py",
        "shop/cart.py",
        "other/ledger.py",
    ]


def test_a_file_that_does_not_define_the_name_is_told(root):
    """Rather than that nothing uses it."""
    token = CancellationToken()
    for of, why in [("shop/pricin.py", "not in the index"), ("loose.py", "does not define total")]:
        with pytest.raises(UsageError, match=why):
            ask(CodeReader(root), code_questions.find_uses, "total", of, token)


def test_a_name_that_many_files_define_means_that_of_its_own_file(tmp_path, monkeypatch):
    """Also where more define it than are looked at by the name alone."""
    monkeypatch.setattr(code_questions, "_MAX_DEFINITIONS", 2)
    files: dict[str, str | bytes] = {
        f"m{n}.py": f"def get():\n    return {n}\n\n\nget()\n" for n in range(4)
    }
    reader = CodeReader(make_repository(tmp_path / "r", files))
    token = CancellationToken()
    found = ask(reader, code_questions.find_uses, "get", "", token)
    assert found.meant == {f"m{n}.py": f"m{n}.py:1" for n in range(4)}
    only = ask(reader, code_questions.find_uses, "get", "m3.py", token)
    assert [(each.path, each.line) for each in only.found] == [("m3.py", 5)]
    near = ask(reader, code_questions.find_definitions, "get", "m3.py", token, 1)
    assert places(near) == [("m3.py", 1)]
    write(tmp_path / "r", {"user.py": "from m3 import get\n\nget()\n"})
    reader = CodeReader(tmp_path / "r")
    near = ask(reader, code_questions.find_definitions, "get", "user.py", token, 1)
    assert places(near) == [("m3.py", 1)]


def test_a_qualified_name_is_found_among_many(tmp_path, monkeypatch):
    """As `__init__` is, which most classes have."""
    monkeypatch.setattr(code_questions, "_MAX_DEFINITIONS", 2)
    files: dict[str, str | bytes] = {
        f"m{n}.py": f"class K{n}:\n    def run(self):\n        return {n}\n" for n in range(4)
    }
    reader = CodeReader(make_repository(tmp_path / "r", files))
    found = ask(reader, code_questions.find_definitions, "K3.run", "", CancellationToken(), 5)
    assert places(found) == [("m3.py", 2)]


def test_names_are_taken_as_languages_and_tools_write_them(tmp_path):
    """Private members of JavaScript, receivers of Go; no text that cannot be one."""
    files: dict[str, str | bytes] = {
        "a.js": "class A {\n  #secret() { return 1; }\n  run() { return this.#secret(); }\n}\n",
        "b.go": "package b\n\ntype Cart struct{}\n\nfunc (c *Cart) Total() int { return 1 }\n",
    }
    reader = CodeReader(make_repository(tmp_path / "r", files))
    token = CancellationToken()
    for name, place in [
        ("#secret", ("a.js", 2)),
        ("A.#secret()", ("a.js", 2)),
        ("(*Cart).Total", ("b.go", 5)),
        ("Cart#Total", ("b.go", 5)),
        ("b.(*Cart).Total(x)", ("b.go", 5)),
    ]:
        assert places(ask(reader, code_questions.find_definitions, name, "", token, 5)) == [place]
    uses = ask(reader, code_questions.find_uses, "A.#secret", "", token)
    assert [(each.path, each.line) for each in uses.found] == [("a.js", 3)]
    for name, why in [("\ud800", "no text"), ("a.\udc80", "no text"), ("()", "empty")]:
        with pytest.raises(UsageError, match=f"the name is {why}"):
            ask(reader, code_questions.find_uses, name, "", token)


def test_lines_that_end_before_they_begin_are_refused(root):
    """An empty answer would look like an empty file."""
    with pytest.raises(UsageError, match="end_line is before start_line"):
        ask(CodeReader(root), code_questions.read_lines, "shop/cart.py", 5, 2, 0)
