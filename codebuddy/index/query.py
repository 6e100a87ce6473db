"""What kind of query a text is: the channels are not equally good at all of them.

It reads the text alone; a name that no file defines is still a name.
"""

from __future__ import annotations

import re
from typing import Literal

from codebuddy.index.modules import family_of
from codebuddy.index.terms import words
from codebuddy.syntax.languages import TEXT_SUFFIXES

QueryKind = Literal[
    "name", "path", "words", "sentence", "documentation", "code", "fragment", "error"
]

_MAX_LOOKED_AT = 4_000
_PATH = re.compile(r"^[\w.@+~-]*(?:[/\\][\w.@+~-]+)+[/\\]?$|^[\w-]+/$")
# `:LINE`, `:LINE:COL` or `:LINE:` behind a path.
PLACE = re.compile(r":([0-9]{1,9})(?::[0-9]{0,9})?:?$")
_FILE_NAME = re.compile(r"^[\w.-]+\.([a-z]{1,5})$")
_QUALIFIED = re.compile(r"^[\w$]+(?:(?:\.|::|->|#)~?[\w$]+)*(?:\(\))?[?!]?$")
# Case within a word or underscores do not occur in prose.
_IDENTIFIER = re.compile(r"[a-z0-9][A-Z]|\w_+\w|[A-Z]{2}[a-z]")
_CODE_MARKS = re.compile(
    r"[{};=<>|&]|\w\(|\)\s*[:.,]|\[\w|->|=>|::|\bdef \w|\bfn \w|\bfunc \w|\breturn\b"
)
# A call with a value, an assignment or a statement that calls, whatever its strings say.
_STATEMENT = re.compile(
    r"^[^\s(]*\w\.\w+\(|^[^\"'`]*\w\.\w+\([^)\s]"
    r"|^(?:(?:const|let|var|auto) )?[\w.]+(?:, ?[\w.]+)* ?:?=(?!=) ?[^\"'`]*\w\("
    r"|^(?:async |await |return |raise |throw |with |assert |class |for |yield |new )"
    r"[^\"']*\w\("
)
# What programs print before a message: `ValueError: `, `java.io.IOException: `, `panic: `.
_ERROR = re.compile(
    r"^(?:[\w.:]*(?:Error|Exception|Warning|Failure|Fault)|error(?:\[\w+\])?|fatal|panic|warning"
    r"|Traceback[^:]*|thread '[^']*' panicked[^:]*|Uncaught \w+)\s*:\s",
)
_QUESTION = re.compile(
    r"(?:how|what|which|where|when|why|who|is|are|does|do|can|should)\b", re.IGNORECASE
)
_MANY_WORDS = 24
# Fewer words are as often the parts of a name.
_SENTENCE_WORDS = 6
_WRITTEN_WORDS = 4


def kind_of(query: str) -> QueryKind:
    """What kind of query a text is.

    `path`, one `name`, a few `words`, a `sentence` as people type it, one of `documentation` as
    authors write it, an `error` as a program prints it, a line of `code`, or several lines, a
    `fragment`.
    """
    text = query[:_MAX_LOOKED_AT].strip()
    if not re.search(r"\s", text):
        bare = PLACE.sub("", text)
        file = _FILE_NAME.match(bare)
        if _PATH.match(bare) or (file and (family_of(bare) or file[1] in TEXT_SUFFIXES)):
            return "path"
        return "name" if _QUALIFIED.match(text) else "code" if _CODE_MARKS.search(text) else "words"
    if _ERROR.match(text):
        return "error"
    if "\n" in text:
        return "fragment"
    n_words = len(words(text))
    n_marks = len(_CODE_MARKS.findall(text))
    is_dense = n_marks * 3 >= max(n_words, 1) or (n_marks and n_words > _MANY_WORDS)
    if is_dense or _STATEMENT.match(text):
        return "code"
    identifiers = sum(bool(_IDENTIFIER.search(word)) for word in words(text))
    if identifiers and identifiers == n_words:
        return "name"
    if n_words >= _WRITTEN_WORDS and _is_written(text):
        return "documentation"
    return "sentence" if n_words >= _SENTENCE_WORDS else "words"


def _is_written(text: str) -> bool:
    """Whether a sentence begins or ends as in documentation, and asks nothing."""
    if text.endswith("?") or _QUESTION.match(text):
        return False
    return not text[0].islower() or text.endswith((".", ":", ";"))
