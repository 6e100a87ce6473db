"""What the names in a text say of it: are they known here, elsewhere in the repository, or nowhere?

A text written without a lookup may invent a function that the repository calls otherwise. Numbers
for experiments, kept in the labels of both texts; nothing decides by them yet (docs/log.md).
"""

from __future__ import annotations

import re

from codebuddy.code_index import CodeIndex
from codebuddy.datatypes import Context
from codebuddy.syntax import identifiers, keywords


def text_names(text: str, context: Context, index: CodeIndex) -> dict[str, float]:
    """Counts of distinct names of `text` that its file does not mention.

    `new` of them in all, `elsewhere` of these defined in other files, `unknown` the others, which
    are invented or a library's; of these `called` ones have an opening bracket behind them and
    `member` ones an owner before them.
    """
    mentioned = {*identifiers(context.prefix), *identifiers(context.suffix)}
    new = {*identifiers(text)} - mentioned - keywords(context.language)
    # The word at the cursor goes on in the text: neither part is a name.
    new -= {_first_word(text)} if context.line_before[-1:].isalnum() else set()
    known = index.definition_counts(sorted(new), context.document.path)
    unknown = {name for name in new if not known.get(name)}
    return {
        "new": float(len(new)),
        "elsewhere": float(len(new - unknown)),
        "unknown": float(len(unknown)),
        "called": float(sum(bool(re.search(rf"\b{re.escape(n)}\s*\(", text)) for n in unknown)),
        "member": float(sum(bool(re.search(rf"[.:>]{re.escape(n)}\b", text)) for n in unknown)),
    }


def _first_word(text: str) -> str:
    found = re.match(r"\w+", text)
    return found.group() if found else ""
