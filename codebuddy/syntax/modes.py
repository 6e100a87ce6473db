"""How text is read in code, in a string, between tags: the tokens that count there.

Each mode is one pattern, made once from the tables of `lexicon`. It knows no positions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from codebuddy.syntax.lexicon import Lexicon, StringForm, lexicon_of

Kind = Literal["code", "string", "comment", "tag", "element"]

# Elements whose content is code, and its language.
_RAW_ELEMENTS = {"script": "javascript", "style": "css"}
_OPERATORS = r"->|=>|[<>]=|<<|<-|<(?=[\s=])|(?<=\s)>"
_REGEX = r"/(?![/*\s])(?:\\.|\[(?:\\.|[^\]\\\n]){0,200}\]|[^/\\\n\[]){1,200}/[a-z]*"


@dataclass(frozen=True, slots=True)
class Mode:
    """How text is read: the tokens that count, and what each form of string means."""

    kind: Kind
    pattern: re.Pattern[str]
    lexicon: Lexicon
    forms: tuple[StringForm, ...] = ()


@cache
def base_mode(language: str) -> Mode:
    """How a text of `language` is read from its beginning."""
    lexicon = lexicon_of(language)
    return element_mode(lexicon, "") if lexicon.tags == "html" else code_mode_of(lexicon)


@cache
def code_mode_of(lexicon: Lexicon, raw_end: str = "") -> Mode:
    """How code is read; `raw_end` names the element that it is the content of."""
    if lexicon.tags == "html":
        lexicon = lexicon_of(_RAW_ELEMENTS["script"])
    comments = [f for f in lexicon.forms if f.is_comment]
    strings = [f for f in lexicon.forms if not f.is_comment]
    forms = (*comments, *strings)
    parts = [r"(?P<newline>\n[ \t]*)"]
    if raw_end:
        parts.append(rf"(?P<tagclose></{raw_end}\s*>?)")
    if lexicon.skipped:
        parts.append(f"(?P<skip>{lexicon.skipped})")
    parts += [f"(?P<f{i}>{_plain(f.opener)})" for i, f in enumerate(comments)]
    ends = [f.closer for f in comments if "{0}" not in f.closer] + ["/>"] * bool(lexicon.tags)
    if ends:
        parts.append(f"(?P<stray>{'|'.join(ends)})")
    if lexicon.line_comment:
        parts.append(rf"(?P<line>(?:{lexicon.line_comment})[^\n]*)")
    if lexicon.heredoc:
        parts.append(f"(?P<heredoc>{_plain(lexicon.heredoc)})")
    parts += [f"(?P<f{i}>{_plain(f.opener)})" for i, f in enumerate(strings, len(comments))]
    if lexicon.has_regexes:
        parts.append(
            rf"(?P<regex>(?:(?<=[(,=:\[!&|?{{}};~])|(?<=[(,=:\[!&|?{{}};~]\s)"
            rf"|(?<=return\s)|^[ \t]*){_REGEX})"
        )
    if lexicon.words:
        words = "|".join(sorted({*lexicon.words, *lexicon.words.values()}, key=len, reverse=True))
        is_any_case = "(?i:" if lexicon.has_any_case else "(?:"
        parts.append(rf"(?P<word>(?<![\w.:@$?!-]){is_any_case}{words})(?![\w?!-]|:(?!:)|[ \t]*=>))")
    if lexicon.tags:
        if not raw_end:
            parts.append(r"(?P<tagclose></[\w.:-]*\s*>)")
        parts.append(r"(?P<tag>(?<![\w)\]])(?:<[A-Za-z][\w.:-]*|<>))")
    if lexicon.angles:
        parts.append(rf"(?P<operator>{_OPERATORS})")
        parts.append(r"(?P<angle>(?<=[\w:])<)")
        parts.append(r"(?P<close>[)\]}>])|(?P<open>\$?[(\[{])")
    else:
        parts.append(r"(?P<close>[)\]}])|(?P<open>\$?[(\[{])")
    return Mode("code", _compiled("|".join(parts)), lexicon, forms)


@cache
def element_mode(lexicon: Lexicon, name: str) -> Mode:
    """How the content of an element is read."""
    if lexicon.tags == "html" and name in _RAW_ELEMENTS:
        return code_mode_of(lexicon_of(_RAW_ELEMENTS[name]), name)
    comment = StringForm("<!--", "-->", has_escapes=False, is_multiline=True, is_comment=True)
    pattern = (
        r"(?P<newline>\n[ \t]*)|(?P<f0><!--)|(?P<stray>-->|\})|(?P<tagclose></[\w.:-]*\s*>?)"
        r"|(?P<tag><!?[A-Za-z][\w.:-]*|<>)|(?P<open>\{)"
    )
    return Mode("element", _compiled(pattern), lexicon, (comment,))


@cache
def tag_mode(lexicon: Lexicon) -> Mode:
    """How the attributes of an element are read."""
    quotes = tuple(StringForm(q, q, has_escapes=False, is_multiline=True) for q in "\"'`")
    pattern = (
        r"(?P<newline>\n[ \t]*)|(?P<f0>\")|(?P<f1>')|(?P<tagend>/?>)|(?P<open>\{)|(?P<stray>\})"
    )
    return Mode("tag", _compiled(pattern), lexicon, quotes)


@lru_cache(maxsize=512)
def _string_pattern(form: StringForm, closer: str) -> re.Pattern[str]:
    parts = [r"(?P<escape>\\[\s\S])"] if form.has_escapes else []
    if form.holes and form.holes[0][0].startswith(r"\{"):
        parts.append(r"(?P<skip>\{\{|\}\})")
    if form.holes and form.holes[0][0].startswith(r"\\"):
        # Swift's `\(` is a hole, not an escape.
        parts.insert(0, rf"(?P<h0>{form.holes[0][0]})")
        holes = list(enumerate(form.holes))[1:]
    else:
        holes = list(enumerate(form.holes))
    parts += [f"(?P<h{i}>{opener})" for i, (opener, _) in holes]
    if form.nested:
        parts.append(f"(?P<nested>{form.nested})")
    parts.append(f"(?P<end>{closer})")
    if strays := {re.escape(closer) for _, closer in form.holes}:
        parts.append(f"(?P<stray>{'|'.join(sorted(strays))})")
    parts.append(r"(?P<newline>\n[ \t]*)")
    return _compiled("|".join(parts))


@lru_cache(maxsize=512)
def string_mode(form: StringForm, closer: str, lexicon: Lexicon) -> Mode:
    """How the content of a string or comment is read."""
    kind: Kind = "comment" if form.is_comment else "string"
    return Mode(kind, _string_pattern(form, closer), lexicon, (form,))


@cache
def line_mode() -> Mode:
    """How a comment up to the end of the line is read."""
    return Mode("comment", _compiled(r"(?P<newline>\n[ \t]*)"), Lexicon())


@lru_cache(maxsize=256)
def heredoc_mode(name: str) -> Mode:
    """How a text is read that ends with a line that holds `name`."""
    return Mode("string", _compiled(rf"(?P<end>(?<=\n)[ \t]*{re.escape(name)}\b)"), Lexicon())


@cache
def statement_pattern(words: str) -> re.Pattern[str] | None:
    """Words that begin a statement."""
    return re.compile(rf"(?:{words})(?!\w)") if words else None


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


def _plain(pattern: str) -> str:
    """The pattern without names of groups."""
    return pattern.replace("(?P<d>", "(?:")
