"""What the evaluation's tests share: a repository with calls across files, and its index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import Repository, open_repository
from tests.support.index import make_repository, run_git

PRICING = '''\
"""Prices."""


def apply_discount(amount_cents: int, percent: int) -> int:
    """The amount after a discount, rounded down to whole cents."""
    if percent > 100:
        percent = 100
        amount_cents = max(amount_cents, 0)
    return amount_cents * (100 - percent) // 100


def shipping_cost(weight_grams: int, country: str) -> int:
    """What a parcel of this weight costs to that country."""
    base_cents = 499 if country == "DE" else 999
    return base_cents + weight_grams // 100
'''
CART = """\
import json

from shop.pricing import apply_discount, shipping_cost


def total(items, percent, country):
    amount_cents = sum(item.price_cents for item in items)
    weight_grams = sum(item.weight_grams for item in items)
    reduced = apply_discount(amount_cents, percent)
    return reduced + shipping_cost(weight_grams, country)


def label(name):
    text = json.dumps(name)
    return local_helper(text)


def local_helper(text):
    return text.title()
"""
FILES: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/pricing.py": PRICING,
    "shop/cart.py": CART,
    "README.md": "# Shop\n\nSells apply_discount things.\n",
}


def make_shop(root: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """A committed repository with `files`, those of the shop by default."""
    make_repository(root, FILES if files is None else files)
    commit(root)
    return root


def commit(root: Path, message: str = "state") -> None:
    """Commit everything."""
    run_git(root, "add", "-A")
    run_git(root, "commit", "-qm", message, "--allow-empty")


@contextmanager
def indexed(root: Path) -> Iterator[tuple[Repository, RepositoryIndex]]:
    """The repository with its index, up to date."""
    repository = open_repository(root)
    settings = Settings(index=IndexSettings(jobs=1))
    update_index(repository, settings)
    with RepositoryIndex.open(repository, settings) as index:
        yield repository, index
