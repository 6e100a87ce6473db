"""Source text as syntax: languages, trees, names and places. Only here is tree-sitter used.

Nothing heavy is imported until a language's grammar is needed.
"""

from codebuddy.syntax.embedded import CodeAt, code_at, embeds_code
from codebuddy.syntax.grammar import keywords, line_comment, parse
from codebuddy.syntax.identifiers import names_between
from codebuddy.syntax.languages import NOTEBOOK, UNKNOWN, language_for, languages
from codebuddy.syntax.notebook import parsable
from codebuddy.syntax.rules import spec_of
from codebuddy.syntax.scope import (
    CursorSyntax,
    NamesInFile,
    block_end,
    count_errors,
    identifiers,
    names_in,
    syntax_at,
)
from codebuddy.syntax.traits import traits_of

__all__ = [
    "NOTEBOOK",
    "UNKNOWN",
    "CodeAt",
    "CursorSyntax",
    "NamesInFile",
    "block_end",
    "code_at",
    "count_errors",
    "embeds_code",
    "identifiers",
    "keywords",
    "language_for",
    "languages",
    "line_comment",
    "names_between",
    "names_in",
    "parsable",
    "parse",
    "spec_of",
    "syntax_at",
    "traits_of",
]
