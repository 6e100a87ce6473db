"""Names at a place lead to definitions: through imports first, then folders, then the name."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.index.outline import signature_form
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, make_repository, run_git, write

PRICING = (
    "LIMIT = 3\n\n\n"
    "def discount(\n    cents: int,\n    percent: int,\n) -> int:\n"
    '    """The amount after a discount.\n\n    Rounded down.\n    """\n'
    "    return cents * (100 - percent) // 100\n\n\n"
    "class Rate:\n"
    '    """What a parcel costs."""\n\n'
    "    def of(self, grams):\n        return grams\n"
)
FILES: dict[str, str | bytes] = {
    "shop/__init__.py": "from .pricing import discount\n",
    "shop/pricing.py": PRICING,
    "aaa/pricing.py": "def discount(x):\n    return x\n",
    "shop/cart.py": "def discount_all(cart):\n    return cart\n",
    "tests/test_pricing.py": "def discount(fake):\n    return fake\n",
    "vendor/x/pricing.py": "def discount(theirs):\n    return theirs\n",
    "web/a.js": "export function discount(a) {\n  return a;\n}\n",
    "app.py": "from shop.pricing import discount, Rate\n\nprint(discount(1, 2))\n",
    "other.py": "import shop\n\nprint(shop.discount(1, 2))\n",
    "web/b.js": "import { discount } from './a';\n\nconsole.log(discount(1));\n",
    "alone.py": "print(discount(1))\n",
    "go/rate/rate.go": (
        "package rate\n\n"
        "// Rate of a parcel in cents.\n"
        "func Rate(grams int) int {\n\treturn grams\n}\n"
    ),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    root = make_repository(tmp_path_factory.mktemp("definitions") / "r", FILES)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        yield found


def _found(opened: RepositoryIndex, path: str, **more) -> list[tuple[str, str]]:
    found = opened.definitions_for(["discount"], path, **more)["discount"]
    return [(each.definition.path, each.via) for each in found]


def test_what_is_imported_comes_first(opened):
    """Of five definitions of the name the imported file's is meant."""
    assert _found(opened, "app.py")[0] == ("shop/pricing.py", "import")
    assert _found(opened, "web/b.js")[0] == ("web/a.js", "import")


def test_a_package_leads_to_what_it_passes_on(opened):
    """`import shop` means what the package's `__init__` imports."""
    assert _found(opened, "other.py")[0] == ("shop/pricing.py", "package")


def test_the_same_folder_comes_before_the_rest(opened):
    """Without an import, files beside the own one are likelier."""
    assert _found(opened, "shop/cart.py")[0] == ("shop/pricing.py", "folder")


def test_by_name_alone_tests_and_copies_of_others_come_last(opened):
    """Unless the file that asks is a test itself; another family of languages is last of all."""
    order = [path for path, _ in _found(opened, "alone.py", per_name=9)]
    assert set(order[:2]) == {"aaa/pricing.py", "shop/pricing.py"}
    assert order[-1] == "web/a.js"
    in_tests = [path for path, _ in _found(opened, "tests/test_cart.py", per_name=9)]
    assert in_tests[0] == "tests/test_pricing.py"


def test_imports_of_an_unsaved_document_count(opened):
    """Given in the index's words, they stand in for those of the file, which need not exist."""
    found = _found(opened, "new/file.py", imports=["aaa.pricing"])
    assert found[0] == ("aaa/pricing.py", "import")


def test_the_own_file_and_unknown_names_are_left_out(opened):
    """What the prompt holds already is no answer; names nobody defines have none."""
    assert "shop/pricing.py" not in [path for path, _ in _found(opened, "shop/pricing.py")]
    assert opened.definitions_for(["nowhere", ""], "app.py") == {}
    assert opened.definitions_for([], "app.py") == {}


def test_a_search_near_a_file_finds_what_the_file_means(opened):
    """The line that calls is answered by the definition that this file imports."""
    for path, expected in (("app.py", "shop/pricing.py"), ("web/b.js", "web/a.js")):
        results = opened.search("total = discount(cart)", 3, near=path)
        assert results[0].chunk.path == expected


def test_the_signature_form_has_headers_and_documentation_without_bodies(opened):
    """A header of several lines becomes one; values and bodies are left out."""
    path = "shop/pricing.py"
    definitions = opened.definitions_of(path)
    shown = "\n".join(signature_form(each, definitions) for each in opened.chunks_of(path))
    assert shown.splitlines() == [
        "def discount( cents: int, percent: int, ) -> int:",
        '    """The amount after a discount."""',
        "class Rate:",
        '    """What a parcel costs."""',
        "    def of(self, grams):",
    ]


def test_the_signature_form_speaks_the_language_of_the_file(opened):
    """Documentation above a definition stays a comment above it."""
    (chunk,) = opened.chunks_of("go/rate/rate.go")
    form = signature_form(chunk, opened.definitions_of(chunk.path))
    assert form == "// Rate of a parcel in cents.\nfunc Rate(grams int) int"


def changed_with(opened: RepositoryIndex, path: str) -> dict[str, float]:
    """The files that git's history shows changing with `path`."""
    with opened._snapshot() as channels:
        return channels.history.changed_with(path)


def test_files_that_change_together_are_close(tmp_path: Path):
    """Pairs that meet often score high; a commit of everything joins nothing."""
    files: dict[str, str | bytes] = {f"f{i}.py": f"x = {i}\n" for i in range(40)}
    root = make_repository(tmp_path / "r", files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "all at once")
    for round_ in range(4):
        write(root, {"f1.py": f"y = {round_}\n", "f2.py": f"y = {round_}\n"})
        if round_ == 0:
            write(root, {"f3.py": "y = 0\n"})
        run_git(root, "commit", "-qam", "change")
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        close = changed_with(found, "f1.py")
        assert list(close) == ["f2.py", "f3.py"]
        assert 1 > close["f2.py"] > close["f3.py"] > 0
        assert changed_with(found, "f30.py") == changed_with(found, "nowhere.py") == {}
    write(root, {"f1.py": "z = 1\n", "f5.py": "z = 1\n"})
    run_git(root, "commit", "-qam", "another")
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        assert "f5.py" in changed_with(found, "f1.py"), "a new commit counts at the next update"


def test_histories_that_cannot_be_read_are_none(tmp_path: Path):
    """No commit, a shallow clone whose parents are missing, a rebase that waits: no error."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n", "b.py": "x = 1\n"})
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        assert changed_with(found, "a.py") == {}
    for round_ in range(3):
        write(root, {"a.py": f"x = {round_}\n", "b.py": f"x = {round_}\n"})
        run_git(root, "add", ".")
        run_git(root, "commit", "-qm", "change")
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "-q", "--depth", "1", root.as_uri(), str(shallow))
    run_git(root, "checkout", "-q", "HEAD~1")
    for each in (shallow, root):
        index(each)
        with RepositoryIndex.open(open_repository(each), Settings()) as found:
            assert set(changed_with(found, "a.py")) == {"b.py"}


def test_reading_history_runs_nothing_of_the_repository(tmp_path: Path):
    """Signatures, diff drivers and a promised object whose remote is a program: none is run."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n", "b.py": "x = 1\n"})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "start")
    mark = tmp_path / "was-run"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    for key, value in {
        "log.showSignature": "true",
        "gpg.program": str(program),
        "diff.external": str(program),
        "core.pager": str(program),
        "core.fsmonitor": str(program),
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": str(tmp_path / "elsewhere"),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(program),
        "protocol.file.allow": "always",
    }.items():
        run_git(root, "config", key, value)
    tree = run_git(root, "rev-parse", "HEAD^{tree}").strip()
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        assert changed_with(found, "a.py") == {}
    assert not mark.exists()
