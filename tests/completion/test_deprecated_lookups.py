"""Lookups and deprecated code: its replacement takes its place, and no piece shows its use."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import pytest

from codebuddy.completion.retrieval import retrieve
from codebuddy.evaluation.holes import KINDS, holes_of_file
from codebuddy.evaluation.masked_index import mask
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.completion import context_at
from tests.support.index import run_git, write

PRICES = '''\
"""Prices."""


def old_total(amounts, rate):
    """The sum with tax.

    .. deprecated:: 2
       Use total_with_tax instead.
    """
    charged = 0
    for amount in amounts:
        charged += amount * (1 + rate)
    return charged


def total_with_tax(amounts, rate, currency="EUR"):
    """The sum with tax, in a currency."""
    return Money(sum(amount * (1 + rate) for amount in amounts), currency)


def plain_total(amounts):
    """The sum."""
    return sum(amounts)
'''
CALLER = '''\
"""{title}s."""

from shop.prices import old_total


def charge_{name}(customer, amounts, rate):
    """Charge a {name}."""
    ledger = customer.ledger("{name}")
    charged = old_total(amounts, rate)
    ledger.book(charged, reason="{name}")
    return charged
'''
NEW_CALLER = '''\
"""Gifts."""

from shop.prices import total_with_tax


def charge_gift(customer, amounts, rate):
    """Charge a gift."""
    ledger = customer.ledger("gift")
    charged = total_with_tax(amounts, rate, customer.currency)
    ledger.book(charged, reason="gift")
    return charged
'''
PLACE = '''\
"""Refunds."""

from shop.prices import old_total


def charge_refund(customer, amounts, rate):
    """Charge a refund."""
    ledger = customer.ledger("refund")
    charged = old_total(‸
'''
SHOP: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/prices.py": PRICES,
    "shop/gifts.py": NEW_CALLER,
    **{
        f"shop/{name}s.py": CALLER.format(name=name, title=name.capitalize())
        for name in ("voucher", "parcel", "ticket")
    },
}


@contextmanager
def indexed(root, files, **settings):
    """The index of a repository with these files, under `[index]` settings."""
    write(root, files)
    plain = Settings()
    chosen = dataclasses.replace(plain, index=dataclasses.replace(plain.index, **settings))
    opened = open_repository(root)
    update_index(opened, chosen)
    with RepositoryIndex.open(opened, chosen) as index:
        yield index


def texts(index, marked=PLACE, path="shop/refunds.py", top_k=12):
    """What is looked up at a place."""
    return [each.chunk.text for each in retrieve(context_at(marked, path), index, top_k)]


def test_the_replacement_stands_where_the_deprecated_definition_stood(repository):
    """Its signature is looked up, the other's is not; nor are places that call the other."""
    with indexed(repository, SHOP) as index:
        found = texts(index)
    assert any("def total_with_tax(amounts, rate, currency" in text for text in found)
    assert any("charge_gift" in text for text in found)
    assert not [text for text in found if "old_total" in text]


def test_with_the_setting_on_everything_is_looked_up_as_it_stands(repository):
    """`index.deprecated`: the same place finds the old definition and its callers."""
    with indexed(repository, SHOP, deprecated=True) as index:
        found = texts(index)
    assert sum("old_total" in text for text in found) >= 2


def test_an_open_index_follows_a_mark_that_comes_and_goes(repository):
    """The marks are those of the state that is asked."""
    unmarked = PRICES.replace(".. deprecated:: 2", "Since 2.")
    with indexed(repository, SHOP | {"shop/prices.py": unmarked}) as index:
        assert any("old_total" in text for text in texts(index))
        write(repository, {"shop/prices.py": PRICES})
        update_index(open_repository(repository), Settings())
        assert not any("old_total" in text for text in texts(index))


UNKNOWN = {
    "no replacement": ("Use total_with_tax instead.", "It will go."),
    "one that is nowhere": ("Use total_with_tax instead.", "Use sum_of_all instead."),
    "itself": ("Use total_with_tax instead.", "Use old_total instead."),
    "no mark": (".. deprecated:: 2", "Since 2."),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_where_nothing_better_is_known_the_ranking_is_the_same(repository, case):
    """Piece by piece, score by score: as with the setting that leaves nothing out."""
    files = SHOP | {"shop/prices.py": PRICES.replace(*UNKNOWN[case])}
    context = context_at(PLACE, "shop/refunds.py")
    with indexed(repository, files) as index:
        found = retrieve(context, index, 12)
    with indexed(repository, files, deprecated=True) as index:
        expected = retrieve(context, index, 12)
    assert found == expected
    assert any("old_total" in each.chunk.text for each in found)


def test_replacements_that_are_deprecated_themselves_lead_on_and_circles_nowhere(repository):
    """The last of a chain is used; two that name each other are left as they are."""
    chain = PRICES + (
        "\n\ndef older_total(amounts):\n"
        '    """Sums.\n\n    .. deprecated:: 1\n       Use old_total instead.\n    """\n'
        "    return old_total(amounts, 0)\n"
        "\n\ndef first_half(amounts):\n"
        '    """Halves.\n\n    .. deprecated:: 1\n       Use second_half instead.\n    """\n'
        "\n\ndef second_half(amounts):\n"
        '    """Halves.\n\n    .. deprecated:: 1\n       Use first_half instead.\n    """\n'
    )
    with indexed(repository, SHOP | {"shop/prices.py": chain}) as index:
        named = {
            qualified: each.name
            for (_, qualified), each in index.deprecated_code().replacements.items()
        }
    assert named == {"old_total": "total_with_tax", "older_total": "total_with_tax"}


OTHERS = {
    "a method beside it": (
        {
            "a.py": "class Cart:\n"
            "    def add_all(self, items):\n"
            '        """Deprecated: use add_many."""\n'
            "        return 1\n\n"
            "    def add_many(self, items):\n"
            '        """Adds."""\n'
            "        return 2\n",
        },
        {"Cart.add_all": "Cart.add_many"},
    ),
    "a dotted name of another file": (
        {
            "pack/old.py": "from pack.new import Cart\n\n\n"
            "# Deprecated: use Cart.add_many\ndef add_items(cart, items):\n    return 1\n",
            "pack/new.py": "class Cart:\n    def add_many(self, items):\n        return 2\n",
        },
        {"add_items": "Cart.add_many"},
    ),
    "one of the same name elsewhere": (
        {
            "pack/old.py": "# Deprecated: use new.add_items\ndef add_items(cart):\n    return 1\n",
            "pack/new.py": "def add_items(cart):\n    return 2\n",
        },
        {"add_items": "add_items"},
    ),
    "java": (
        {
            "Cart.java": "class Cart {\n"
            "    /** @deprecated use {@link #addMany} */\n"
            "    @Deprecated\n    void addAll(int n) { }\n\n    void addMany(int n) { }\n}\n",
        },
        {},
    ),
    "typescript": (
        {
            "cart.ts": "/** @deprecated Use addMany instead. */\n"
            "export function addAll(n: number) {\n  return n;\n}\n\n"
            "export function addMany(n: number) {\n  return n;\n}\n",
        },
        {"addAll": "addMany"},
    ),
    "go": (
        {
            "cart.go": "package cart\n\n// AddAll adds.\n//\n// Deprecated: Use AddMany instead.\n"
            "func AddAll(n int) int {\n\treturn n\n}\n\n"
            "func AddMany(n int) int {\n\treturn n\n}\n",
        },
        {"AddAll": "AddMany"},
    ),
    "rust": (
        {
            "src/lib.rs": '#[deprecated(note = "use add_many instead")]\n'
            "pub fn add_all(n: u32) -> u32 {\n    n\n}\n\n"
            "pub fn add_many(n: u32) -> u32 {\n    n\n}\n",
        },
        {"add_all": "add_many"},
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_marks_of_many_kinds_lead_to_what_they_name(repository, case):
    """By language and place; a name that the mark spells in an unknown way leads nowhere."""
    files, expected = OTHERS[case]
    with indexed(repository, files) as index:
        found = index.deprecated_code().replacements
    assert {qualified: each.qualified for (_, qualified), each in found.items()} == expected


def test_a_common_name_is_left_alone_elsewhere(repository):
    """`old_total` of two files: which one a caller means is not known, so callers stay."""
    other = "def old_total(amounts):\n    return 0\n"
    with indexed(repository, SHOP | {"shop/other.py": other}) as index:
        assert index.deprecated_code().names == ()
        assert any("charge_parcel" in text for text in texts(index))


def test_an_everyday_word_and_an_overload_say_nothing_elsewhere(repository):
    """`items` is what locals are called, too; of overloads the unmarked one is as it should be."""
    marked = '    """Deprecated: use all_entries instead."""\n    return []\n'
    files: dict[str, str | bytes] = {
        "shop/old.py": f"def items(box):\n{marked}\n\ndef all_entries(box):\n    return []\n",
        "shop/cart.ts": "/** @deprecated Use createCart instead */\n"
        "export function cart(name: string): number;\n"
        "export function cart(size: number): number;\n"
        "export function cart(any: unknown): number { return 1; }\n"
        "export function createCart(): number { return 2; }\n",
    }
    with indexed(repository, files) as index:
        code = index.deprecated_code()
        assert code.names == ()
        assert [name for _, name in code.replacements] == ["items"]


def test_an_evaluation_sees_the_same_through_a_masked_index(repository):
    """Holes are completed as places in an editor are."""
    write(repository, SHOP)
    run_git(repository, "add", ".")
    run_git(repository, "commit", "-qm", "Start")
    with indexed(repository, SHOP) as index:
        opened = open_repository(repository)
        [hole, *_] = [
            each
            for each in holes_of_file(opened, index, "shop/vouchers.py", KINDS, 1)
            if each.text.startswith("old_total") or "old_total" in each.text
        ]
        marked = hole.document[: len(hole.document.encode()[: hole.start_byte].decode())]
        rest = hole.document[len(marked) :]
        found = texts(mask(index, hole), f"{marked}‸{rest}", hole.path)
    assert found
    assert not [text for text in found if "old_total" in text]
