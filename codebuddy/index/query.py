"""What kind of query a text is: the channels are not equally good at all of them.

It reads the text alone; a name that no file defines is still a name.
"""

from __future__ import annotations

import re
from typing import Literal

from codebuddy.index.modules import family_of
from codebuddy.index.terms import words
from codebuddy.syntax.languages import TEXT_SUFFIXES

QueryKind = Literal["name", "path", "words", "sentence", "code"]

_MAX_LOOKED_AT = 4_000
_PATH = re.compile(r"^[\w.@+~-]*(?:[/\\][\w.@+~-]+)+[/\\]?$|^[\w-]+/$")
_FILE_NAME = re.compile(r"^[\w.-]+\.([a-z]{1,5})$")
_QUALIFIED = re.compile(r"^[\w$]+(?:(?:\.|::|->|#)~?[\w$]+)*(?:\(\))?[?!]?$")
# Case within a word or underscores do not occur in prose.
_IDENTIFIER = re.compile(r"[a-z0-9][A-Z]|\w_+\w|[A-Z]{2}[a-z]")
_CODE_MARKS = re.compile(
    r"[{};=<>|&]|\w\(|\)\s*[:.,]|\[\w|->|=>|::|\bdef \w|\bfn \w|\bfunc \w|\breturn\b"
)
_MANY_WORDS = 24
# Fewer words are as often the parts of a name.
_SENTENCE_WORDS = 6


def kind_of(query: str) -> QueryKind:
    """`path`, one `name`, a few `words`, a `sentence` of prose, or a piece of `code`."""
    text = query[:_MAX_LOOKED_AT].strip()
    if not re.search(r"\s", text):
        file = _FILE_NAME.match(text)
        if _PATH.match(text) or (file and (family_of(text) or file[1] in TEXT_SUFFIXES)):
            return "path"
        return "name" if _QUALIFIED.match(text) else "code" if _CODE_MARKS.search(text) else "words"
    n_words = len(words(text))
    n_marks = len(_CODE_MARKS.findall(text))
    if "\n" in text or n_marks * 3 >= max(n_words, 1) or (n_marks and n_words > _MANY_WORDS):
        return "code"
    identifiers = sum(bool(_IDENTIFIER.search(word)) for word in words(text))
    if identifiers and identifiers == n_words:
        return "name"
    return "sentence" if n_words >= _SENTENCE_WORDS else "words"
