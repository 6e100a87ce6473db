"""What completion looks up: the expression at the cursor, and the definitions likely to be used."""

from __future__ import annotations

import pytest

from codebuddy.completion.candidates import find_candidates
from codebuddy.completion.expression import expression_at, types_of
from codebuddy.completion.lookalikes import cursor_text
from codebuddy.completion.retrieval import find_pieces
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.completion import context_at

FILES = {
    "shop/__init__.py": "from .store import Store\n",
    "shop/base.py": "class Base:\n    def close_all(self):\n        return 1\n",
    "shop/store.py": (
        "from .base import Base\n\n\nclass Store(Base):\n"
        "    def open_shelf(self, name, size):\n"
        '        """Open a shelf.\n\n        More."""\n        return [name] * size\n\n'
        "    def count_items(self):\n        return 3\n\n\ndefault = Store()\n"
    ),
    "shop/other.py": "class Other:\n    def open_shelf(self):\n        return 0\n",
    "shop/util.py": "def print_price(price):\n    return 1\n\n\ndef tidy(name):\n    return 2\n",
    "web/index.ts": 'export * from "./parts";\n',
    "web/parts.ts": "export function makeButton(label: string) {\n  return label;\n}\n",
    "go/cart.go": "package shop\n\nfunc addToCart(name string) int {\n\treturn 1\n}\n",
    "go/price.go": "package shop\n\nfunc roundPrice(p int) int {\n\treturn p\n}\n",
    "README.md": "# shop\n\n## print_price\n\nPrints it.\n\n## open_till\n\nOpens it.\n",
    "ci.yaml": "open_till: 1\nprint_price: 2\n",
    "tests/test_util.py": "def test_nothing():\n    assert True\n",
}


@pytest.fixture
def index(repository):
    """A repository of several languages, indexed."""
    for path, text in FILES.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    opened = open_repository(repository)
    update_index(opened, Settings())
    with RepositoryIndex.open(opened, Settings()) as found:
        yield found


def candidates(index, text, path):
    """The qualified names of each list at the mark."""
    context = context_at(text, path)
    found = find_candidates(context, expression_at(context.prefix), index)
    return {name: [each.qualified for each in listed] for name, listed in found.items()}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("x = z.set(z.string(", ("(", "string", "z", "", "")),
        ("  const a = util.", ("", "", "", "util", "")),
        ("let p = Parser::new(", ("(", "new", "Parser", "", "")),
        ("foo(a, b.c(1), d", ("(", "foo", "", "", "d")),
        ("self.color.na", ("", "", "", "color", "na")),
        ("items[", ("[", "", "", "", "")),
        ("call().", ("", "", "", "call", "")),
        ("", ("", "", "", "", "")),
    ],
)
def test_the_expression_at_the_cursor(prefix, expected):
    """Bracket, callee, what it is called on, the object before the dot, the word begun."""
    found = expression_at(prefix)
    assert (found.bracket, found.callee, found.callee_owner, found.owner, found.begun) == expected


@pytest.mark.parametrize(
    ("name", "text", "types"),
    [
        ("console", "def f(console: 'Console') -> None:\n", ["Console"]),
        ("table", "table = rich.Table(a)\n", ["Table"]),
        ("s", "func (s *Server) Run() {\n", ["Server"]),
        ("m", "let mut m = Matcher::new(x);", ["Matcher"]),
        ("sb", "StringBuilder sb = new StringBuilder();", ["StringBuilder"]),
        ("x", "const x: Foo<Bar> = y", ["Foo"]),
        ("o", "def f(o: Optional[Shop] = None):", ["Shop"]),
        ("Table", "", ["Table"]),
        ("self", "self = Table()", []),
        ("nothing", "x = 1", []),
    ],
)
def test_the_type_of_a_name(name, text, types):
    """Annotations and constructors of several languages tell it."""
    assert types_of(name, text) == types


def test_a_call_is_resolved_through_what_it_is_called_on(index):
    """Of two methods of a name, the one of the object's class comes first."""
    text = "from shop.store import Store\n\nstore = Store()\nx = store.open_shelf(‸\n"
    assert candidates(index, text, "main.py")["call"][0] == "Store.open_shelf"


def test_members_of_a_class_and_of_its_base_follow_the_dot(index):
    """Methods of the class and of the class that it derives from, in another file."""
    text = "from shop.store import Store\n\nstore = Store()\nstore.‸\n"
    members = candidates(index, text, "main.py")["member"]
    assert {"Store.open_shelf", "Store.count_items", "Base.close_all"} <= set(members)
    assert "Other.open_shelf" not in members


def test_members_of_a_value_of_another_module(index):
    """The value's type is read where it is made."""
    text = "from shop.store import default\n\ndefault.‸\n"
    assert "Store.count_items" in candidates(index, text, "main.py")["member"]


def test_members_of_an_imported_module_and_of_what_it_passes_on(index):
    """A module's functions follow its name; an index file passes on those of others."""
    text = "from shop import util\n\nutil.‸\n"
    assert set(candidates(index, text, "main.py")["member"]) >= {"print_price", "tidy"}


def test_inherited_members_follow_self(index):
    """Inside a class whose base is in another file, `self.` offers the base's methods."""
    text = "from shop.base import Base\n\n\nclass Mine(Base):\n    def go(self):\n        self.‸\n"
    assert "Base.close_all" in candidates(index, text, "main.py")["member"]


def test_what_is_imported_far_above_is_offered_before_it_is_used(index):
    """An imported function of this repository, though its name is not near the cursor."""
    text = "from shop.util import print_price\n" + "x = 1\n" * 20 + "‸\n"
    assert candidates(index, text, "main.py")["import"] == ["print_price"]


def test_a_test_file_is_offered_what_it_tests(index):
    """`test_util.py` is a test of `util.py`, wherever that is imported from."""
    text = "import shop.util\n\n\ndef test_tidy():\n    x = ‸\n"
    assert set(candidates(index, text, "tests/test_util.py")["beside"]) == {"print_price", "tidy"}


def test_files_of_a_package_see_each_other_in_go(index):
    """Functions of the folder's other files need no import."""
    text = "package shop\n\nfunc total() int {\n\tprice := ‸\n}\n"
    assert candidates(index, text, "go/total.go")["beside"][0] == "roundPrice"


@pytest.mark.parametrize(
    "begun", ["open_till(1)\nx = print_price(‸", "open_till()\nprint_price\n‸"]
)
def test_headings_and_keys_define_nothing(index, begun):
    """A heading or a key that is spelled like a function is not looked up in its place."""
    found = candidates(index, f"{begun}\n", "main.py")
    assert {*found["call"], *found["name"]} == {"print_price"}


def test_definitions_come_as_signatures(index, monkeypatch):
    """What was found for its definition shows header and documentation, not its body."""
    context = context_at("from shop.store import Store\n\nStore().open_shelf(‸\n", "main.py")
    # Found whole for its words, it would need no signature.
    monkeypatch.setattr(index, "lexical", lambda *_: [])
    pieces = find_pieces(context, index, cursor_text(context))
    first = next(each.chunk for each in pieces if each.kind == "call")
    assert first.path == "shop/store.py"
    assert "def open_shelf(self, name, size):" in first.text
    assert "Open a shelf." in first.text
    assert "[name] * size" not in first.text


def test_nothing_is_found_where_nothing_is_known(index):
    """An empty file of an unknown language asks for nothing and gets nothing."""
    assert not any(candidates(index, "‸", "empty.unknown").values())
