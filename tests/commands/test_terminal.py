"""What reaches a terminal: no foreign control bytes, whatever the text."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from codebuddy.terminal import safe_line, safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;cHduZWQ=\x07", "^[]52;c;cHduZWQ=^G"),
        ("\x1b[31mred\x1b[0m", "^[[31mred^[[0m"),
        ("\x9b31m", "M-^[31m"),
        ("\x1bP+q\x1b\\", "^[P+q^[\\"),
        ("a\x7fb", "a^?b"),
        ("a\rb", "a^Mb"),
        ("x\u202ey", "x<U+202E>y"),
        ("x\u200by", "x<U+200B>y"),
        ("tab\tline\n", "tab\tline\n"),
        ("ä 😀 [/] [@click=x]", "ä 😀 [/] [@click=x]"),
        ("\udcff", "\\xff"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_control_characters_are_shown(text, shown):
    """Control characters appear in caret notation, invisible ones by their number."""
    assert safe_text(text) == shown


def test_lines_stay_lines():
    """A name with a newline cannot forge a second line."""
    assert safe_line("evil\nname\tx") == "evil^Jname^Ix"


def test_random_text_holds_no_control_bytes_however_it_is_split():
    """10,000 random texts: no C0 or C1 byte is left, and a split stream reads the same."""
    chance = random.Random(7)
    alphabet = [*map(chr, range(256)), "\u202e", "😀", "[", "]", "m", ";"]
    for _ in range(10_000):
        text = "".join(chance.choices(alphabet, k=20)).replace("\r\n", "\r")
        shown = safe_text(text)
        assert not [
            c for c in shown if (ord(c) < 0x20 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0
        ]
        cut = chance.randrange(20)
        assert safe_text(text[:cut]) + safe_text(text[cut:]) == shown


@pytest.mark.process
def test_json_answers_are_ascii_and_valid_for_any_name():
    """JSON output holds no raw control byte and survives bytes that were not UTF-8."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from codebuddy.terminal import answer_json\n"
            "answer_json({'path': 'a\\udcff\\x1b\\u202e', 'n': 0.123456789})",
        ],
        capture_output=True,
        check=True,
    )
    found = {"path": "a\\xff\x1b\u202e", "path_bytes": "a%FF%1B%E2%80%AE", "n": 0.123457}
    assert json.loads(done.stdout) == found
    assert b"\x1b" not in done.stdout
