"""What `codebuddy search` shows of a hit: the line that matched and the definition around it."""

from __future__ import annotations

import json

import pytest

from tests.support.engine import codebuddy
from tests.support.index import LONG_FUNCTION, make_repository

pytestmark = pytest.mark.process

VAT = """\
RATES = {"food": 7, "books": 7}


def rate_of(kind):
    return RATES.get(kind, 19)


def vat_for_class(kind, cents):
    # Rounded up, as the office wants it.
    base = cents * rate_of(kind)
    return -(-base // 100)


class Receipt:
    def total(self):
        return 0
"""


def test_search_shows_the_line_that_matched_and_names_its_definition(tmp_path):
    """In a chunk of several definitions it is the one that was met, not the chunk's first."""
    root = make_repository(tmp_path / "r", {"shop/vat.py": VAT})
    done = codebuddy(root, "search", "vat_for_class", "--channel", "symbol")
    assert done.stdout.splitlines() == [
        "shop/vat.py:8 (1-16)  function vat_for_class  [symbol 1.0000]",
        "    ...",
        "",
        "",
        "    def vat_for_class(kind, cents):",
        "        # Rounded up, as the office wants it.",
        "        base = cents * rate_of(kind)",
        "        return -(-base // 100)",
        "    ...",
    ]
    for query, place, label in (
        ("vat class", 8, "function vat_for_class"),
        ("rounded office", 9, "function vat_for_class"),
        ("food books", 1, "variable RATES"),
        ("Receipt.total", 15, "method Receipt.total"),
        ("VatForClass", 8, "function vat_for_class"),
        ("receip", 14, "class Receipt"),
    ):
        title = codebuddy(root, "search", *query.split()).stdout.splitlines()[0]
        assert title.startswith(f"shop/vat.py:{place} (1-16)  {label}  ["), query
    (result,) = json.loads(codebuddy(root, "search", "office", "--json").stdout)["results"]
    assert (result["line"], result["kind"], result["symbol"]) == (9, "function", "vat_for_class")


def test_a_hit_outside_every_definition_has_no_symbol(tmp_path):
    """A line between definitions is not given to a neighbour; a comment above one is."""
    code = (
        "import zebra\n\n\ndef f():\n    return 1\n\n\n# About giraffes.\ndef g():\n    return 2\n"
    )
    root = make_repository(tmp_path / "r", {"a.py": code})
    loose = codebuddy(root, "search", "zebra", "--channel", "lexical").stdout.splitlines()[0]
    above = codebuddy(root, "search", "giraffes", "--channel", "lexical").stdout.splitlines()[0]
    assert loose.startswith("a.py:1 (1-10)  [lexical ")
    assert above.startswith("a.py:8 (1-10)  function g  [lexical ")


def test_the_excerpt_of_a_long_chunk_is_around_the_hit(tmp_path):
    """The last lines of a long function are shown where the hit is there, to the line."""
    root = make_repository(tmp_path / "r", {"a.py": f"\n\n{LONG_FUNCTION}    return elephant\n"})
    title, *excerpt = codebuddy(root, "search", "elephant").stdout.splitlines()
    assert title.startswith("a.py:29 (")
    assert "  function price_of  [" in title
    assert excerpt[0] == "    ..."
    assert excerpt[-1] == "        return elephant"
    assert len(excerpt) == 7


def test_a_newline_in_a_file_name_does_not_break_the_title(tmp_path):
    """The name is one line, with the newline shown."""
    root = make_repository(tmp_path / "r", {"a\nfake.py:1 (1-1)  x.py": VAT})
    done = codebuddy(root, "search", "vat_for_class")
    assert done.stdout.splitlines()[0].startswith("a^Jfake.py:1 (1-1)  x.py:8 (1-16)  function")
