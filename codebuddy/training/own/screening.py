"""What a training must not learn by what a file says: personal data, and licences that forbid it.

Personal data are looked for in comments and in texts of three quotes, where nobody needs them to
run; lines that name who holds the rights are left alone. A licence is foreign where it is neither
permissive nor that of the repository itself: of its licence file, or of half of its files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from codebuddy.training.packages import is_permissive

_HEAD_LINES = 40
_OWN_SHARE = 0.5
LICENCE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING", "LICENCE", "COPYING.txt")

_COMMENT = re.compile(r"(?:(?:^|\s)(?:#|//|--|%)|/\*|^\s*\*|^\s*;|<!--)(?P<said>.*)$")
_RIGHTS = re.compile(
    r"(?i)copyright|\(c\)|©|authors?\b|maintain|licen[cs]e|credit|signed-off|co-authored|spdx"
    r"|(?:written|contributed|created|developed|implemented|ported) by\b"
    r"|^\W*contact\s*:"
)
# Names stand below it, one a line, until a line without an address.
_NAMES_FOLLOW = re.compile(
    r"(?i)(?:authors?|maintainers?|contributors?|credits?|written by)[ \t]{0,9}:?\s{0,9}\Z"
)
_ADDRESS = re.compile(
    r"(?<![\w.+/:-])[\w.+-]{1,64}@(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[a-z]{2,12})\b"
)
_NOBODY = re.compile(
    r"(?i)example|test|invalid|localhost|\.local$|noreply|users\.|domain|host\b|foo|bar|server"
)
# A package and its release.
_PACKAGE = re.compile(r"^v?\d+\.\d+(?:\.|$)")
_NO_PERSON = re.compile(r"(?i)^(?:git|noreply|no-reply|info|support|security|root|admin|user|me)@")
_PHONE = re.compile(r"(?<![\w.+-])\+\d{1,3}(?:[ ./-]?\(?\d{2,5}\)?){2,5}(?![\w-])")
_PHONE_DIGITS = (9, 15)
_SOCIAL = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")

_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]{0,8}(?P<id>[\w(][\w.+() -]{1,80})")
_GNU = r"GNU (?:Lesser |Library )?General Public Licen[cs]e|Mozilla Public License"
_STRICT = (
    r"GNU Affero General Public Licen[cs]e|Server Side Public License|Business Source License"
    r"|Commons Clause|Creative Commons.{0,40}NonCommercial"
)
_COPYLEFT = re.compile(f"(?i){_GNU}|{_STRICT}")
# What a copyleft repository may hold of others only if it is under the same.
_STRICTER = re.compile(f"(?i){_STRICT}|AGPL|SSPL|BUSL|-NC-")
_RESERVED = re.compile(
    r"(?i)all rights reserved|confidential and proprietary|proprietary and confidential"
)
_GRANTED = re.compile(
    r"(?i)redistribution and use|permission is hereby granted|licensed under|permission to use"
    r"|licensed to .{1,40} under a contributor agreement"
)
_PERMISSIVE = r"\b(?:MIT|BSD|ISC|Apache|Zlib|Boost)\b(?:[ -](?:style|[23]-Clause|2\.0))?"
_PERMISSIVE_NAMED = re.compile(rf"{_PERMISSIVE},? [Ll]icen[cs]e")
# Who may choose a permissive licence needs no other one.
_CHOICE = re.compile(
    rf"{_PERMISSIVE}(?: [Ll]icen[cs]e)?,? (?:and/)?or (?:the )?(?:GNU|L?GPL|Mozilla|MPL)"
    rf"|(?:GNU|L?GPL|Mozilla|MPL)[^.]{{0,60}}\bor (?:the )?{_PERMISSIVE}"
)
_RESERVED_MARK = "all rights reserved"


def personal_data(text: str) -> str:
    """What kind of personal data comments of a text hold; empty if none was found."""
    is_list = False
    for said in _comments(text):
        is_list = bool(_NAMES_FOLLOW.search(said)) or (is_list and "@" in said)
        if is_list or _RIGHTS.search(said):
            continue
        for found in _ADDRESS.finditer(said):
            is_package = _PACKAGE.search(found["host"])
            if not (is_package or _NOBODY.search(found["host"]) or _NO_PERSON.match(found[0])):
                return "address"
        low, high = _PHONE_DIGITS
        if any(low <= sum(c.isdigit() for c in each[0]) <= high for each in _PHONE.finditer(said)):
            return "telephone number"
        if _SOCIAL.search(said):
            return "social security number"
        if any(_is_account(each[0]) for each in _ACCOUNT.finditer(said)):
            return "bank account"
    return ""


def foreign_licences(texts: Mapping[str, str], own_licence: str) -> frozenset[str]:
    """The files whose licence is neither permissive nor the repository's own.

    Args:
        texts: By path.
        own_licence: What the repository's licence file says.
    """
    marks = {path: mark for path, text in texts.items() if (mark := licence_mark(text))}
    counts = Counter(marks.values())
    own = {mark for mark, count in counts.items() if count >= _OWN_SHARE * len(texts)}
    if _RESERVED.search(own_licence) and not _GRANTED.search(own_licence):
        own.add(_RESERVED_MARK)
    may_copyleft = bool(_COPYLEFT.search(own_licence))
    may_stricter = bool(_STRICTER.search(own_licence))

    def is_foreign(mark: str) -> bool:
        if mark in own:
            return False
        if mark == _RESERVED_MARK or not may_copyleft:
            return True
        return bool(_STRICTER.search(mark)) and not may_stricter

    return frozenset(path for path, mark in marks.items() if is_foreign(mark))


def licence_mark(text: str) -> str:
    """What the first lines say of a licence under which one may not simply train; else empty."""
    head = "\n".join(text.split("\n", _HEAD_LINES)[:_HEAD_LINES])
    if (found := _SPDX.search(head)) is not None:
        name = found["id"].strip("() -")
        return "" if any(map(is_permissive, name.split(" OR "))) else name
    # As one line, without what begins a comment.
    head = re.sub(r"\n[\W_]*", " ", head)
    if _CHOICE.search(head):
        return ""
    if (found := _COPYLEFT.search(head)) is not None:
        return found[0] if _STRICTER.search(found[0]) else "copyleft"
    is_granted = _GRANTED.search(head) or _PERMISSIVE_NAMED.search(head)
    if _RESERVED.search(head) and not is_granted:
        return _RESERVED_MARK
    return ""


def _comments(text: str) -> Iterator[str]:
    is_text = False
    for line in text.split("\n"):
        count = line.count('"""') + line.count("'" * 3)
        if is_text or count:
            yield line
        elif (found := _COMMENT.search(line)) is not None:
            yield found["said"]
        is_text ^= count % 2 == 1


def _is_account(text: str) -> bool:
    """Whether the check digits of an international account number are right (ISO 13616)."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1
