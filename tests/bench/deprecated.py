"""How often lookups show deprecated code and suggestions use it, by `index.deprecated`.

    python -m tests.bench.deprecated [--model NAME] [--per-kind N] [REPOSITORY...]

Holes of each repository are cut where code calls something; with no repository, into a made-up
one of whose modules eight call an old function and three its replacement. For each hole what is
looked up both ways; with a model the texts of both, always looked up, where the pieces differ.
Prints rates with counts, and milliseconds of a lookup: `on` brings deprecated code, `off` is the
default. Places where the pieces are the same are never completed: the texts are the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from codebuddy.completion.context import build_context
from codebuddy.completion.retrieval import retrieve
from codebuddy.config import load_settings
from codebuddy.datatypes import Generator
from codebuddy.evaluation.holes import Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.runner import make_setup, run_task
from codebuddy.evaluation.statistics import mean_interval, percentile
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.models import open_generator
from codebuddy.settings import Settings
from codebuddy.terminal import StatusLine
from codebuddy.training.own.choosing import Deprecated
from codebuddy.vcs.repository import Repository, open_repository
from tests.support.index import make_repository, run_git

SEED = 5
TOP_K = 8
_OLD = "voucher parcel ticket deposit invoice quote lease permit".split()
_NEW = "gift refund bond".split()
_PRICES = '''\
"""Prices."""


def old_total(amounts, rate):
    """The sum with tax.

    .. deprecated:: 2
       Use total_with_tax instead.
    """
    return sum(amounts) * (1 + rate)


def total_with_tax(amounts, rate, currency):
    """The sum with tax, in a currency."""
    return Money(sum(amounts) * (1 + rate), currency)
'''
_CALLER = '''\
"""{title}s."""

from shop import prices


def charge_{name}(customer, amounts, rate):
    """Charge a {name}."""
    ledger = customer.ledger("{name}")
    charged = {call}
    ledger.book(charged, reason="{name}")
    return charged


def preview_{name}(customer, amounts, rate):
    """Show what a {name} costs."""
    shown = {call}
    return customer.format(shown)
'''


def main() -> None:
    """Measure repository by repository."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repositories", nargs="*", type=Path)
    parser.add_argument("--per-kind", type=int, default=60)
    parser.add_argument("--model", help="completes too where the pieces differ")
    arguments = parser.parse_args()
    flags = {"model.name": arguments.model} if arguments.model else None
    settings = load_settings(flags=flags).settings
    generator = open_generator(settings, StatusLine()) if arguments.model else None
    print(f"load {os.getloadavg()[0]:.1f}, {'no model' if generator is None else generator.name}")
    with tempfile.TemporaryDirectory() as scratch:
        for path in arguments.repositories or [make_shop(Path(scratch) / "shop")]:
            measure(open_repository(path), settings, arguments.per_kind, generator)


def make_shop(root: Path) -> Path:
    """The made-up repository, committed."""
    files: dict[str, str | bytes] = {"shop/__init__.py": "", "shop/prices.py": _PRICES}
    for name in (*_OLD, *_NEW):
        function = "old_total" if name in _OLD else "total_with_tax"
        more = "" if name in _OLD else ", customer.currency"
        call = f"prices.{function}(amounts, rate{more})"
        text = _CALLER.format(title=name.capitalize(), name=name, call=call)
        files[f"shop/{name}s.py"] = text
    make_repository(root, files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    return root


def measure(
    repository: Repository, settings: Settings, per_kind: int, generator: Generator | None
) -> None:
    """Look up both ways at each hole, complete where it differs, and print."""
    update_index(repository, settings)
    with ExitStack() as stack:
        indexes = {}
        for way in ("on", "off"):
            chosen = dataclasses.replace(settings.index, deprecated=way == "on")
            opened = RepositoryIndex.open(repository, dataclasses.replace(settings, index=chosen))
            indexes[way] = stack.enter_context(opened)
        code = indexes["off"].deprecated_code()
        found = len(code.replacements)
        print(f"{repository.root.name}: {found} deprecated with a replacement, names {code.names}")
        names = Deprecated(frozenset(code.names))
        holes = cut_holes(repository, indexes["on"], ("call", "line"), per_kind, SEED)
        different = compare_lookups(holes, repository, indexes, names)
        if generator is not None and different:
            compare_texts(different, indexes, names, repository, settings, generator)


def compare_lookups(
    holes: list[Hole],
    repository: Repository,
    indexes: dict[str, RepositoryIndex],
    names: Deprecated,
) -> list[Hole]:
    """Print how many lookups show deprecated code each way; the holes whose pieces differ."""
    shown = dict.fromkeys(indexes, 0)
    spent: dict[str, list[float]] = {way: [] for way in indexes}
    different = []
    for number, hole in enumerate(holes):
        pieces = {}
        # In turns, since the first one reads what the second one finds in memory.
        for way, index in sorted(indexes.items(), reverse=number % 2 == 0):
            context = build_context(hole.as_document(repository), hole.position, hole.language)
            masked = mask(index, hole)
            started = time.perf_counter()
            pieces[way] = [each.chunk.text for each in retrieve(context, masked, TOP_K)]
            spent[way].append(1000 * (time.perf_counter() - started))
            shown[way] += any(names.count(text) for text in pieces[way])
        if pieces["on"] != pieces["off"]:
            different.append(hole)
    for way in indexes:
        times = f"p50 {percentile(spent[way], 50):.1f} ms, p95 {percentile(spent[way], 95):.1f} ms"
        print(f"  {way}: deprecated code in {shown[way]} of {len(holes)} lookups; {times}")
    more = [off - on for on, off in zip(spent["on"], spent["off"], strict=True)]
    print(f"  a lookup takes {percentile(more, 50):+.2f} ms more at the median", flush=True)
    print(f"  pieces differ at {len(different)} holes")
    return different


def compare_texts(
    holes: list[Hole],
    indexes: dict[str, RepositoryIndex],
    names: Deprecated,
    repository: Repository,
    settings: Settings,
    generator: Generator,
) -> None:
    """Print how many suggestions use deprecated code each way, and what the change wins."""
    used = dict.fromkeys(indexes, 0)
    edits: dict[str, list[float]] = {way: [] for way in indexes}
    for hole in holes:
        for way, index in indexes.items():
            setup = make_setup(repository, index, generator, settings.completion, ["always"], SEED)
            result = run_task(hole, setup).arms["always"]
            used[way] += names.count(result.text) > 0
            edits[way].append(float(result.scores["edit_similarity"] or 0.0))
    truly = sum(names.count(hole.text) > 0 for hole in holes)
    for way in indexes:
        print(f"  {way}: deprecated code in {used[way]} of {len(holes)} suggestions")
    won = [off - on for on, off in zip(edits["on"], edits["off"], strict=True)]
    interval = mean_interval(won, SEED)
    print(f"  the code that stood there uses it in {truly}")
    print(f"  edit similarity to that {sum(won) / len(won):+.1f} {interval} without it")


if __name__ == "__main__":
    main()
