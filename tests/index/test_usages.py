"""Uses of a name and importers of a file, as the index has them."""

from __future__ import annotations

import pytest

from codebuddy.index.details import pack_details, unpack_imports, unpack_references
from codebuddy.index.packing import pack_json
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, make_repository, run_git, write

FILES: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/pricing.py": (
        "def apply_discount(amount):\n    return amount\n\n\ndef twice(x):\n"
        "    return apply_discount(apply_discount(x))\n"
    ),
    "shop/cart.py": (
        "from shop.pricing import apply_discount\n\n\nclass Cart:\n    def total(self, items):\n"
        "        # apply_discount in a comment\n        return apply_discount(sum(items))\n"
    ),
    "shop/relative.py": "from . import pricing\n\nprice = pricing.apply_discount(3)\n",
    "tests/test_pricing.py": (
        "import shop.pricing\n\n\ndef test_it():\n    assert shop.pricing.apply_discount(1) == 1\n"
    ),
    "notes.md": "# apply_discount\n\nSay apply_discount and pricing.\n",
    "lib/thing.rb": "def valid?(x)\n  x\nend\n\nputs valid?(3)\n",
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    root = make_repository(tmp_path_factory.mktemp("usages") / "r", FILES)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        yield found


def test_uses_are_places_of_the_syntax_with_what_is_around_them(opened):
    """Calls and imports, code before tests; a comment and a text are no use."""
    found = [
        (each.path, each.line, each.kind, each.inside)
        for each in opened.usages("apply_discount").found
    ]
    assert found == [
        ("shop/cart.py", 1, "import", ""),
        ("shop/cart.py", 7, "call", "Cart.total"),
        ("shop/pricing.py", 6, "call", "twice"),
        ("shop/relative.py", 3, "call", ""),
        ("tests/test_pricing.py", 5, "call", "test_it"),
    ]
    assert (
        opened.usages("apply_discount").found[1].text.strip() == "return apply_discount(sum(items))"
    )


def test_a_use_has_the_very_spelling(opened):
    """Neither another case nor a part of a name is one; marks that belong to a name are."""
    assert opened.usages("Apply_Discount").found == ()
    assert opened.usages("discount").found == ()
    assert opened.usages("").found == ()
    assert [each.line for each in opened.usages("valid?").found] == [5]


def test_importers_are_found_by_every_way_to_import(opened):
    """Absolute, from a package, and relative; a document that only names it is none."""
    found, n_unseen = opened.importing_files("shop/pricing.py")
    assert found == ["shop/cart.py", "shop/relative.py", "tests/test_pricing.py"]
    assert n_unseen == 0
    assert opened.importing_files("shop/cart.py") == ([], 0)
    assert opened.importing_files("gone.py") == ([], 0)


def test_a_use_is_gone_with_its_line(tmp_path):
    """After an update nothing of the old text is found."""
    root = make_repository(tmp_path / "r", FILES)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert len(opened.usages("twice").found) == 0
        write(root, {"shop/cart.py": "from shop.pricing import twice\n"})
        index(root)
        assert [each.path for each in opened.usages("twice").found] == ["shop/cart.py"]
        assert "shop/cart.py" not in {e.path for e in opened.usages("apply_discount").found}


def test_files_that_change_together_are_known(tmp_path):
    """As git's history has them; a file without a history changed with none."""
    root = make_repository(tmp_path / "r", FILES)
    for number in range(3):
        write(root, {"shop/cart.py": f"a = {number}\n", "lib/thing.rb": f"b = {number}\n"})
        run_git(root, "add", ".")
        run_git(root, "commit", "-qm", f"change {number}")
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert next(iter(opened.changed_with("shop/cart.py"))) == "lib/thing.rb"
        assert opened.changed_with("gone.py") == {}


def test_files_and_reasons_are_told(tmp_path):
    """Every file that is indexed, and why another one is not."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n", ".env": "KEY=1\n", "b.bin": b"\0\1"})
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert [each.path for each in opened.files()] == [b"a.py"]
        assert opened.reason_skipped(".env") == "secret"
        assert opened.reason_skipped("b.bin") == "binary"
        assert opened.reason_skipped("a.py") == ""


def test_references_are_read_back_as_they_were_packed():
    """All of a name's, and imports beside them."""
    packed = pack_details([("a", "call", 1), ("b", "type", 2), ("a", "import", 9)], ["os"])
    assert unpack_references(packed, "a") == [("a", "call", 1), ("a", "import", 9)]
    assert unpack_imports(packed) == ("os",)


@pytest.mark.parametrize(
    "references",
    [
        [["a", "call"]],
        [["a", "shout", 1]],
        [["a", "call", 0]],
        [["a", "call", True]],
        [["a", ["call"], 1]],
        ["a"],
        {"a": 1},
        [["a", "call", 1, 2]],
    ],
)
def test_references_that_nobody_packed_are_damage(references):
    """Another form is refused, whatever it is."""
    packed = pack_json({"references": references, "imports": []}, 1 << 20)
    assert packed is not None
    with pytest.raises(DamagedIndexError):
        unpack_references(packed, "a")


def test_uses_of_a_name_too_long_for_the_words_are_found(tmp_path):
    """The index of words leaves it out, and so every file is looked into."""
    name = "a_very_long_name_" * 5
    files: dict[str, str | bytes] = {
        "a.py": f"def {name}():\n    pass\n",
        "b.py": f"from a import {name}\n\n{name}()\n",
    }
    root = make_repository(tmp_path / "r", files)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert [(each.path, each.line) for each in opened.usages(name).found] == [
            ("b.py", 1),
            ("b.py", 3),
        ]


def test_importers_may_name_the_folder_alone(tmp_path):
    """A package of Go, a namespace of Java; or the file that stands for a folder by its own."""
    files: dict[str, str | bytes] = {
        "pricing/discount.go": "package pricing\n\nfunc Apply(x int) int { return x }\n",
        "main.go": 'package main\n\nimport "acme.org/pricing"\n\nvar one = pricing.Apply(1)\n',
        "com/acme/Rate.java": "package com.acme;\npublic class Rate {}\n",
        "com/other/App.java": "package com.other;\nimport com.acme.*;\nclass App {}\n",
        "js/index.js": "export const a = 1;\n",
        "js/b.js": "import { a } from './index';\n",
    }
    root = make_repository(tmp_path / "r", files)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert opened.importing_files("pricing/discount.go") == (["main.go"], 0)
        assert opened.importing_files("js/index.js") == (["js/b.js"], 0)
        assert opened.imported_files("com/other/App.java") == ["com/acme/Rate.java"]
        assert opened.importing_files("com/acme/Rate.java") == (["com/other/App.java"], 0)
