"""What replays of public repositories taught the rules to leave alone, and what they still find."""

from __future__ import annotations

import pytest

from tests.support.hook import staged_review, told

AVERAGE = """\
def average_price(orders, currency):
    total = 0
    count = 0
    for order in orders:
        if order.currency == currency and not order.is_cancelled:
            total += order.price * order.quantity
            count += order.quantity
    if count == 0:
        raise ValueError("no orders")
    return total / count
"""
MEAN = AVERAGE.replace("average_price", "mean_cost")
PEM = "-----BEGIN RSA PRIVATE " + "KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4 + "\n" + "x9Qz" * 16 + "\n"


def within(function):
    """The function as a local one of another."""
    lines = "".join(f"    {line}\n" for line in function.rstrip().split("\n"))
    return f"def outer():\n{lines}    return average_price\n"


@pytest.mark.parametrize(
    ("before", "staged"),
    [
        ({"orders.py": AVERAGE}, {"examples/sales.py": MEAN}),
        ({"playground/orders.py": AVERAGE}, {"sales.py": MEAN}),
        ({"orders.py": within(AVERAGE)}, {"sales.py": MEAN}),
    ],
    ids=["an example", "the twin is an example", "the twin is local"],
)
def test_a_twin_that_cannot_be_called_is_none(tmp_path, before, staged):
    """CB104 says whom to call; where nobody can or should be called, it is silent."""
    assert staged_review(tmp_path / "p", before, staged, "CB104") == []
    plain = staged_review(tmp_path / "q", {"orders.py": AVERAGE}, {"sales.py": MEAN}, "CB104")
    assert [each.path for each in plain] == ["sales.py"]


def test_twins_in_shell_scripts_are_none(tmp_path):
    """Scripts of a shell do not import each other's functions."""
    body = "".join(
        f'    if [ "$1" = "{word}" ]; then echo "{word}" >&2; fi\n' for word in "abcdefg"
    )
    script = f"#!/bin/sh\ncheck() {{\n{body}}}\n"
    staged = {"two.sh": script.replace("check()", "verify()")}
    assert staged_review(tmp_path / "p", {"one.sh": script}, staged, "CB104") == []


def test_an_empty_package_named_like_a_library_is_not_meant(tmp_path):
    """CB103: a folder of examples named `pydantic` is no reason to doubt `pydantic`."""
    before = {
        "examples/pydantic/__init__.py": "",
        "shop/__init__.py": "",
        "src/app/__init__.py": "",
    }
    staged = {"examples/pydantic/tasks.py": "from pydantic import BaseModel\n"}
    assert staged_review(tmp_path / "p", before, staged, "CB103") == []
    staged = {
        "shop/cart.py": "from shop import Cart\n",
        "src/app/main.py": "from app import Main\n",
        "examples/other.py": "from shop import Price\n",
    }
    found = staged_review(tmp_path / "q", before, staged, "CB103")
    assert [each.path for each in found] == ["examples/other.py", "shop/cart.py", "src/app/main.py"]


@pytest.mark.parametrize(
    "path", ["tests/cert.pem", "t/unit/key.py", "examples/server.key", "docs/tls.md"]
)
def test_a_private_key_made_for_a_test_or_an_example_is_none(tmp_path, path):
    """CB110: key pairs lie in tests and manuals on purpose, and nowhere else."""
    assert staged_review(tmp_path / "p", {"a.py": "x = 1\n"}, {path: PEM}, "CB110") == []
    found = staged_review(tmp_path / "q", {"a.py": "x = 1\n"}, {"deploy/server.key": PEM}, "CB110")
    assert [each.line for each in found] == [1]


def test_the_key_of_azures_emulator_is_no_secret(tmp_path):
    """CB110: every installation has it, and its manual prints it."""
    value = "Q7" * 43 + "=="
    real = f"AccountName=shop;AccountKey={value}\n"
    emulator = real.replace("shop", "devstoreaccount1")
    staged = {"real.env.txt": real, "compose.yml": emulator}
    found = staged_review(tmp_path / "p", {"a.py": "x = 1\n"}, staged, "CB110")
    assert [each.path for each in found] == ["real.env.txt"]


def test_a_stop_that_a_linter_was_told_of_is_meant(tmp_path):
    """CB108: `eslint-disable no-debugger` says that the statement stays."""
    staged = {
        "a.js": "// eslint-disable-next-line no-debugger\ndebugger\n",
        "b.js": "debugger // eslint-disable-line no-debugger\n",
        "c.js": "// eslint-disable-next-line no-console\ndebugger\n",
    }
    found = staged_review(tmp_path / "p", {"x.js": "x()\n"}, staged, "CB108")
    assert [each.path for each in found] == ["c.js"]


OLD = "/** @deprecated use newWay */\nexport function oldWay(a) {\n  return a\n}\n"
OLD_METHOD = "export class Kind {\n  /** @deprecated */\n  oldWay(): void {\n    return\n  }\n}\n"


@pytest.mark.parametrize(
    ("before", "user", "is_found"),
    [
        (OLD, "import { oldWay } from './old'\n\noldWay(1)\n", True),
        (OLD, "import { oldWay } from './other'\n\noldWay(1)\n", False),
        (OLD, "import { oldWay } from 'elsewhere'\n\noldWay(1)\n", False),
        (OLD_METHOD, "export { oldWay } from './schemas'\n", False),
    ],
)
def test_a_deprecated_name_of_a_script_is_known_by_its_import(tmp_path, before, user, is_found):
    """CB112: in JavaScript and TypeScript, too, the name has to come from the marked place."""
    files = {"old.ts": before, "schemas.ts": "export const x = 1\n"}
    found = staged_review(tmp_path / "p", files, {"user.ts": user}, "CB112")
    expected = ["user.ts:1 oldWay is marked as deprecated in old.ts:2; use newWay instead"]
    assert told(found) == expected * is_found
