"""A repository with a way of its own to write things, which no model can know: what to learn."""

from __future__ import annotations

from pathlib import Path

from tests.support.index import make_repository, run_git

_NOUNS = "invoice voucher parcel refund deposit quote ticket".split()
_VERBS = ("open", "settle", "cancel", "renew", "assign")
_HEAD = '''\
"""{title}s of the ledger."""

from house.ledger import book_entry, current_clerk
from house.trail import leave_trace


'''
_BODY = '''\
def {verb}_{noun}(account, amount_cents, note=""):
    """{title} one {noun} for an account."""
    with book_entry(account, kind="{noun}", clerk=current_clerk()) as entry:
        entry.debit_cents(amount_cents, reason="{verb}:{noun}")
        entry.attach_note(note or "{verb} without a note")
        leave_trace(entry, topic="{noun}.{verb}", clerk=current_clerk())
    return entry.sealed_copy()


'''
_LEDGER = '''\
"""Where amounts are booked."""


def current_clerk():
    """Who books."""
    return "nobody"


class book_entry:
    """An entry that is open inside its block."""

    def __init__(self, account, kind, clerk):
        self.account, self.kind, self.clerk = account, kind, clerk

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def debit_cents(self, amount_cents, reason):
        """Take an amount."""

    def attach_note(self, note):
        """Say more."""

    def sealed_copy(self):
        """What is kept."""
        return dict(vars(self))
'''
_TRAIL = '''\
"""Who did what."""


def leave_trace(entry, topic, clerk):
    """Write it down."""
    return (entry, topic, clerk)
'''


def module_of(noun: str) -> str:
    """A module that does things with a noun in the house's way."""
    bodies = [_BODY.format(verb=verb, noun=noun, title=verb.capitalize()) for verb in _VERBS]
    return _HEAD.format(title=noun.capitalize()) + "".join(bodies)


def house_files() -> dict[str, str | bytes]:
    """Seven modules that all do things the house's way, and what they call."""
    files: dict[str, str | bytes] = {
        "house/__init__.py": "",
        "house/ledger.py": _LEDGER,
        "house/trail.py": _TRAIL,
    }
    files |= {f"house/{noun}s.py": module_of(noun) for noun in _NOUNS}
    return files


def make_house(root: Path) -> Path:
    """The repository, committed."""
    make_repository(root, house_files())
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start the house")
    return root
