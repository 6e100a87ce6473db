"""What no adapter learns from: personal data in comments, and files under others' licences."""

from __future__ import annotations

import random
import string
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from codebuddy.hook.credentials import find_credentials
from codebuddy.training.own.choosing import choose_files
from codebuddy.training.own.screening import foreign_licences, licence_mark, personal_data
from tests.support.evaluation import indexed
from tests.support.index import make_repository, run_git, write
from tests.training.test_own_choosing import DEFAULT, body

LETTERS, LOWER, UPPER, DIGITS = (
    string.ascii_letters,
    string.ascii_lowercase,
    string.ascii_uppercase,
    string.digits,
)
WORD, HEX = LETTERS + DIGITS, DIGITS + "abcdef"


def some(rng: random.Random, alphabet: str, count: int) -> str:
    """So many characters."""
    return "".join(rng.choices(alphabet, k=count))


# Each beginning is put together here, so that no scanner takes this file for a leak.
FORMATS: dict[str, Callable[[random.Random], str]] = {
    "aws": lambda r: "AK" + "IA" + some(r, UPPER + "234567", 16),
    "github": lambda r: "gh" + r.choice("pousr") + "_" + some(r, WORD, 36),
    "github fine": lambda r: "github" + "_pat_" + some(r, WORD, 22) + "_" + some(r, WORD, 59),
    "gitlab": lambda r: "gl" + "pat-" + some(r, WORD + "-_", 20),
    "slack": lambda r: "xo" + "xb-" + some(r, DIGITS, 12) + "-" + some(r, WORD, 24),
    "stripe": lambda r: "sk" + "_live_" + some(r, WORD, 24),
    "google": lambda r: "AI" + "za" + some(r, WORD + "-_", 35),
    "google secret": lambda r: "GOC" + "SPX-" + some(r, WORD + "-_", 28),
    "sendgrid": lambda r: "SG" + "." + some(r, WORD + "-_", 22) + "." + some(r, WORD + "-_", 43),
    "npm": lambda r: "np" + "m_" + some(r, WORD, 36),
    "python packages": lambda r: "py" + "pi-AgE" + some(r, WORD + "-_", 80),
    "openai": lambda r: "sk" + "-" + some(r, WORD, 20) + "T3Blbk" + "FJ" + some(r, WORD, 20),
    "anthropic": lambda r: "sk" + "-ant-api03-" + some(r, WORD + "-_", 93),
    "model hub": lambda r: "h" + "f_" + some(r, LETTERS, 34),
    "digitalocean": lambda r: "do" + "p_v1_" + some(r, HEX, 64),
    "databricks": lambda r: "da" + "pi" + some(r, HEX, 32),
    "shopify": lambda r: "shp" + "at_" + some(r, HEX, 32),
    "twilio": lambda r: "S" + "K" + some(r, HEX, 32),
    "telegram": lambda r: some(r, DIGITS, 9) + ":A" + "A" + some(r, WORD + "-_", 33),
    "vault": lambda r: "hv" + "s." + some(r, WORD, 28),
    "linear": lambda r: "lin" + "_api_" + some(r, WORD, 40),
    "postman": lambda r: "PM" + "AK-" + some(r, HEX, 24) + "-" + some(r, HEX, 34),
    "new relic": lambda r: "NR" + "AK-" + some(r, UPPER + DIGITS, 27),
    "private key": lambda r: "-----BEGIN " + r.choice(["RSA ", ""]) + "PRIVATE" + " KEY-----",
    "signed token": lambda r: "ey" + "J" + some(r, WORD, 30) + ".ey" + "J" + some(r, WORD, 60)
    + "." + some(r, WORD + "-_", 43),
}  # fmt: skip
LINES = (
    'TOKEN = "{}"',
    'client = connect(host, "{}")',
    "# old one, revoked: {}",
    "headers = {{'Authorization': 'Bearer {}'}}",
)


def test_nineteen_of_twenty_made_up_keys_of_25_formats_are_found():
    """500 keys, in code, calls and comments; a format that is missed for the most part is named."""
    assert len(FORMATS) == 25
    rng = random.Random(7)
    found: Counter[str] = Counter()
    for name, make in FORMATS.items():
        for number in range(20):
            line = LINES[number % len(LINES)].format(make(rng))
            found[name] += next(find_credentials(line), None) is not None
    assert sum(found.values()) >= 0.95 * 500, found
    assert min(found[name] for name in FORMATS) >= 15, found


@pytest.mark.slow
def test_at_most_one_line_of_ten_thousand_of_pythons_library_is_taken_for_a_key():
    """All of it but its tests, whose certificates hold real private keys."""
    library = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3"}
    lines, said = 0, []
    for file in sorted(library.rglob("*.py")):
        if left_out.isdisjoint(file.relative_to(library).parts):
            for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
                lines += 1
                if next(find_credentials(line), None) is not None:
                    said.append(line)
    assert lines > 100_000
    assert len(said) <= lines / 10_000, said


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("# ask petra.lindqvist@tallbergs.se before the deploy", "address"),
        ("// reach Ada: +46 70 123 45 67 at night", "telephone number"),
        ("    * her number is +1 (212) 665-1234", "telephone number"),
        ("x = 1  # SSN 123-45-6789 of the test customer", "social security number"),
        ("# refund to DE89 3704 0044 0532 0130 00", "bank account"),
        ('"""Written for jonas@weberhaus.de."""', "address"),
    ],
)
def test_personal_data_in_comments_are_seen(line, kind):
    """Of several kinds, in comments of several languages."""
    assert personal_data(f"a = 1\n{line}\nb = 2\n") == kind


@pytest.mark.parametrize(
    "line",
    [
        "# Copyright (c) 2020 Petra Lindqvist <petra@tallbergs.se>",
        "# Author: jonas@weberhaus.de",
        "# see git@github.com:someone/thing.git",
        "# mail user@example.com or noreply@corp.com",
        "# version +1.2.3 of 2020-01-02",
        "# refund to DE00 3704 0044 0532 0130 00",
        "y = a@b.transpose",
        'send("petra.lindqvist@tallbergs.se")',
        "# id 123-45-67890",
        "# Authors:\n#   Jane <jane@weberhaus.de>\n#   Joe <joe@weberhaus.de>",
        "# Written by Jane <jane@weberhaus.de>",
        "# Contact: jane@weberhaus.de",
        "// lodash@4.17.21-rc.min",
    ],
)
def test_what_is_no_personal_data_is_left_alone(line):
    """Rights, places, examples, numbers; and code, which may need what it says."""
    assert personal_data(f"a = 1\n{line}\nb = 2\n") == ""


def test_licences_that_are_not_the_repositorys_are_seen():
    """SPDX, texts, reserved rights; not what permits, and not what half of the files say."""
    spdx = "# SPDX-License" + "-Identifier: "
    assert licence_mark(f"{spdx}GPL-3.0-only\n") == "GPL-3.0-only"
    assert licence_mark(f"{spdx}MIT OR GPL-2.0-only\n") == ""
    assert licence_mark(f"{spdx}Apache-2.0\n") == ""
    assert licence_mark("# GNU General Public License, version 2\n") == "copyleft"
    assert licence_mark("# Copyright X. All rights reserved.\n") == "all rights reserved"
    assert licence_mark("# All rights reserved.\n# Redistribution and use in source\n") == ""
    own = {f"{n}.py": "x = 1\n" for n in range(9)}
    gpl = {"gpl.py": f"{spdx}GPL-3.0-only\n"}
    assert foreign_licences(own | gpl, "Apache License") == {"gpl.py"}
    assert foreign_licences(own | gpl, "GNU General Public License") == frozenset()
    ours = {f"{n}.py": "# Copyright X. All rights reserved.\n" for n in range(9)}
    assert foreign_licences(ours | gpl, "") == {"gpl.py"}


@pytest.mark.parametrize(
    "head",
    [
        "# All rights reserved. Use of this source code is governed by a BSD-style\n# license",
        "# All rights reserved.\n# Released under the MIT License",
        "# Licensed under MIT or GNU General Public License",
        "# under the GNU General Public License, version 2, or the MIT license",
    ],
)
def test_ordinary_headers_of_permissive_licences_lose_no_file(head):
    """A grant after reserved rights, over two lines too, and a choice with a permissive one."""
    assert licence_mark(head) == ""


def test_what_a_repositorys_licence_says_of_its_own_files():
    """Its own reserved rights are its own; a GPL repository holds no AGPL or SSPL of its own."""
    plain = {f"{n}.py": "x = 1\n" for n in range(9)}
    texts = plain | {"ours.py": "# Copyright X. All rights reserved.\n"}
    assert foreign_licences(texts, "Copyright X. All rights reserved.") == frozenset()
    assert foreign_licences(texts, "MIT License") == {"ours.py"}
    spdx = "# SPDX-License" + "-Identifier: "
    stricter = {f"{name}.py": f"{spdx}{name}\n" for name in ("SSPL-1.0", "BUSL-1.1", "AGPL-3.0")}
    texts = plain | stricter | {"LGPL.py": f"{spdx}LGPL-2.1-only\n"}
    assert foreign_licences(texts, "GNU General Public License") == set(stricter)
    assert licence_mark("# part of it is under the MIT license\n# GNU General Public License\n")


def test_what_is_left_out_is_counted_by_its_reason(tmp_path):
    """Personal data and licences beside the reasons that stand already."""
    files: dict[str, str | bytes] = {f"house/m{n}.py": body(f"m{n}") for n in range(8)}
    spdx = "# SPDX-License" + "-Identifier: GPL-3.0-only\n"
    files |= {
        "house/gpl.py": spdx + body("gpl"),
        "house/who.py": "# ask petra.lindqvist@tallbergs.se first\n" + body("who"),
        "house/key.py": f'KEY = "{FORMATS["npm"](random.Random(1))}"\n' + body("key"),
        "house/not.py": "# codebuddy: no-train\n" + body("not"),
    }
    root = make_repository(tmp_path / "house")
    write(root, files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    with indexed(root) as (repository, index):
        choice = choose_files(repository, index, DEFAULT)
    assert choice.left_out == {"licence": 1, "no-train": 1, "personal data": 1, "secret": 1}
    learned = {*choice.learned, *choice.held_out}
    assert learned == {f"house/m{n}.py" for n in range(8)}
