"""How each language writes comments, strings, brackets and blocks of words: data for `brackets`.

Patterns over characters rather than grammars, since they have to hold for code that is
unfinished, and for the beginning of a text that a model still writes. It knows no positions.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class StringForm:
    """A string or a comment that may hold anything.

    Attributes:
        opener: A pattern.
        closer: A pattern; `{0}` stands for what the opener's group `(?P<d>)` matched.
        has_escapes: Whether a backslash takes the next character's meaning.
        is_multiline: Whether it goes on after the end of the line.
        holes: Openers of code within, to what closes each: `${` to `}`.
        nested: What opens another one of the same kind within; empty where nothing does.
        is_comment: Whether it is a comment.
    """

    opener: str
    closer: str
    has_escapes: bool = True
    is_multiline: bool = False
    holes: tuple[tuple[str, str], ...] = ()
    nested: str = ""
    is_comment: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """The tokens of a language that open and close something, or hide what does.

    Attributes:
        forms: Strings and block comments, the longest opener first.
        line_comment: A pattern of what begins a comment up to the end of the line.
        skipped: A pattern of whole tokens that look like an opener and are none.
        words: Words that open a block, to the word that closes it.
        loop_words: Those of them behind which a `do` opens nothing more.
        has_modifiers: Whether `if` and its like also follow a statement, and then open nothing.
        has_commands: Whether words count only where a command may begin.
        has_comprehensions: Whether `for` and `if` within brackets open nothing, and `end` there
            is a place.
        angles: Whether `<` right after a name opens type arguments.
        tags: `jsx`, `html`, or empty.
        has_regexes: Whether `/.../` is a literal where a value may stand.
        heredoc: A pattern whose group `d` names the line that ends it; empty if there are none.
        statements: Words that begin a statement and never stand inside brackets.
        has_any_case: Whether `words` may be written in capitals.
        code_opening: What stands before the code of a file; empty if nothing has to.
        semicolons: Whether they end statements: `always`, `maybe`, as a project likes, or empty.
    """

    forms: tuple[StringForm, ...] = ()
    line_comment: str = ""
    skipped: str = ""
    words: dict[str, str] = field(default_factory=dict)
    loop_words: frozenset[str] = frozenset()
    has_modifiers: bool = False
    has_commands: bool = False
    has_comprehensions: bool = False
    angles: bool = False
    tags: str = ""
    has_regexes: bool = False
    heredoc: str = ""
    statements: str = ""
    has_any_case: bool = False
    code_opening: str = ""
    semicolons: Literal["", "maybe", "always"] = ""


def _block(opener: str, closer: str, *, nests: bool = False) -> StringForm:
    return StringForm(
        opener,
        closer,
        has_escapes=False,
        is_multiline=True,
        nested=opener if nests else "",
        is_comment=True,
    )


def _raw(opener: str, closer: str, holes: tuple[tuple[str, str], ...] = ()) -> StringForm:
    return StringForm(opener, closer, has_escapes=False, is_multiline=True, holes=holes)


def _text(opener: str, closer: str, *holes: tuple[str, str]) -> StringForm:
    return StringForm(opener, closer, is_multiline=True, holes=holes)


_C_BLOCK = _block(r"/\*", r"\*/")
_NESTED_BLOCK = _block(r"/\*", r"\*/", nests=True)
_DOUBLE = StringForm('"', '"')
_SINGLE = StringForm("'", "'")
_CHARACTER = StringForm(r"(?<![0-9A-Za-z_])'", "'")
_DOLLAR_BRACE = (r"\$\{", "}")
_HASH_BRACE = (r"#\{", "}")
# A whole character literal, in languages in which a lone `'` means something else.
_PRIME_SAFE = r"(?<![\w)\]}'])'(?:\\(?:u\{[^}'\n]*\}|[^\n])[^'\\\n]{0,8}|[^\\'\n])'"
_C_WORDS = r"if|for|while|switch|return|break|continue|do|static|typedef|struct|goto"
_JS_WORDS = r"if|for|while|switch|return|const|let|var|import|export|class|throw|break|try"


def _c_like(*forms: StringForm, **more: object) -> Lexicon:
    return Lexicon(
        (_C_BLOCK, *forms),
        line_comment="//",
        statements=str(more.pop("statements", _C_WORDS)),
        **more,  # type: ignore[arg-type]
    )


_JAVASCRIPT = _c_like(
    StringForm("`", "`", is_multiline=True, holes=(_DOLLAR_BRACE,)),
    _DOUBLE,
    _SINGLE,
    statements=_JS_WORDS,
    has_regexes=True,
    tags="jsx",
    semicolons="maybe",
)
_TSX = dataclasses.replace(_JAVASCRIPT, angles=True)
_TYPESCRIPT = dataclasses.replace(_TSX, tags="")
_PYTHON_PREFIX = r"(?:(?<!\w)(?i:[rbu]|[rb][rb]))?"
_F_PREFIX = r"(?<![\w])(?i:[ft]|[ft]r|r[ft])"
_FIELD = ((r"\{(?!\{)", "}"),)
_OCAML = Lexicon(
    (_block(r"\(\*(?!\))", r"\*\)", nests=True), _raw(r"\{(?P<d>[a-z_]*)\|", r"\|{0}\}"),
     StringForm('"', '"', is_multiline=True)),
    skipped=_PRIME_SAFE,
    words={"begin": "end", "struct": "end", "sig": "end", "object": "end", "do": "done"},
    statements="let|module|type|open|exception",
)  # fmt: skip
_QUOTES = (_DOUBLE, StringForm(r"(?<!\w)'", "'"), StringForm("`", "`"))

LEXICONS: dict[str, Lexicon] = {
    "bash": Lexicon(
        (StringForm(r"\$'", "'", is_multiline=True),
         _raw("'", "'"),
         _text('"', '"', (r"\$\(", ")"), _DOLLAR_BRACE),
         _text("`", "`")),
        line_comment=r"(?<![^\s;(&|])#",
        skipped=r"\\[\s\S]|\$#|\$\{#",
        words={"if": "fi", "case": "esac", "do": "done"},
        has_commands=True,
        heredoc=r"(?<!<)<<-?\s*\\?['\"]?(?P<d>[A-Za-z_]\w*)['\"]?",
    ),
    "c": _c_like(_DOUBLE, _CHARACTER),
    "c_sharp": _c_like(
        _raw(r'(?<!\$)\$*(?P<d>"""+)', "{0}"),
        _raw(r'(?:\$@|@\$)"', r'"(?!")', ((r"\{(?!\{)", "}"),)),
        _raw('@"', r'"(?!")'),
        StringForm(r'\$"', '"', holes=((r"\{(?!\{)", "}"),)),
        _DOUBLE, _CHARACTER, angles=True, semicolons="always",
    ),
    "cpp": _c_like(
        _raw(r'R"(?P<d>[^()\\\s"]{0,16})\(', r'\){0}"'), _DOUBLE, _CHARACTER, angles=True
    ),
    "css": Lexicon((_C_BLOCK, _DOUBLE, _SINGLE)),
    "dart": _c_like(
        _raw(r"(?<!\w)r(?P<d>'''|\"\"\"|'|\")", "{0}"),
        _text("(?P<d>'''|\"\"\")", "{0}", _DOLLAR_BRACE),
        StringForm("(?P<d>['\"])", "{0}", holes=(_DOLLAR_BRACE,)), angles=True,
        semicolons="always",
    ),
    "elixir": Lexicon(
        (_text("(?P<d>\"\"\"|''')", "{0}", _HASH_BRACE),
         *(StringForm(rf"~[a-zA-Z]+{o}", c, is_multiline=True, holes=(_HASH_BRACE,))
           for o, c in ((r"\(", r"\)"), (r"\[", r"\]"), (r"\{", r"\}"), ("<", ">"),
                        ("/", "/"), (r"\|", r"\|"), ('"', '"'), ("'", "'"))),
         _text('"', '"', _HASH_BRACE), StringForm(r"(?<!\w)'", "'", holes=(_HASH_BRACE,))),
        line_comment="#",
        skipped=r"(?<![\w)])\?\\?[^\s\w]",
        words={"do": "end", "fn": "end"},
        statements="def|defp|defmodule|defmacro|alias|import|require|use",
    ),
    "go": _c_like(_raw("`", "`"), _DOUBLE, _CHARACTER,
                  statements=r"if|for|switch|return|var|const|type|package|import|defer|go"),
    "haskell": Lexicon(
        (_block(r"\{-", "-}", nests=True), _DOUBLE),
        line_comment="--+(?![!#$%&*+./<=>?@^|~])",
        skipped=_PRIME_SAFE,
        statements="module|import|data|newtype|class|instance",
    ),
    "hcl": Lexicon(
        (_C_BLOCK, StringForm('"', '"', holes=((r"[$%]\{", "}"),))),
        line_comment="#|//",
        heredoc=r"<<-?(?P<d>[A-Za-z_]\w*)",
    ),
    "html": Lexicon((_block("<!--", "-->"),), tags="html"),
    "java": _c_like(
        _text('"""', '"""'), _DOUBLE, _CHARACTER, angles=True, semicolons="always"
    ),
    "javascript": _JAVASCRIPT,
    "json": Lexicon((_C_BLOCK, _DOUBLE), line_comment="//"),
    "julia": Lexicon(
        (_block("#=", "=#", nests=True), _text('"""', '"""', (r"\$\(", ")")),
         _text('"', '"', (r"\$\(", ")")), _text("`", "`")),
        line_comment="#",
        skipped=_PRIME_SAFE,
        words=dict.fromkeys(
            "function if for while begin let do try struct module baremodule macro quote"
            " abstract primitive".split(),
            "end",
        ),
        has_comprehensions=True,
        statements="function|struct|module|using|import|return|macro",
    ),
    "kotlin": Lexicon(
        (_NESTED_BLOCK, _raw('"""', '"""', (_DOLLAR_BRACE,)),
         StringForm('"', '"', holes=(_DOLLAR_BRACE,)), _CHARACTER),
        line_comment="//", angles=True,
        statements="for|while|return|val|var|class|import|package|interface",
    ),
    "lua": Lexicon(
        (_block(r"--\[(?P<d>=*)\[", r"\]{0}\]"), _raw(r"\[(?P<d>=*)\[", r"\]{0}\]"),
         _DOUBLE, _SINGLE),
        line_comment="--",
        words={"function": "end", "if": "end", "do": "end", "repeat": "until"},
        statements="local|return|if|for|while|repeat|break",
    ),
    "make": Lexicon(line_comment=r"(?<!\\)#", skipped=r"\\#|\$\$"),
    "markdown": Lexicon((_block("<!--", "-->"), StringForm(r"`(?!`)", "`")), skipped="```+"),
    "objc": _c_like(_DOUBLE, _CHARACTER),
    "ocaml": _OCAML,
    "ocaml_interface": _OCAML,
    "perl": Lexicon(
        (_text('"', '"'), _text(r"(?<![\w$&])'", "'"), _text("`", "`")),
        line_comment=r"(?<![$\\\w{])#",
        skipped=r"^=[a-z]\w*[\s\S]*?(?:^=cut\b|\Z)|\$[#'\"`]"
        r"|\b(?:s|tr|y)/(?:\\.|[^/\\\n])*/(?:\\.|[^/\\\n])*/\w*|\b(?:m|qr)/(?:\\.|[^/\\\n])*/\w*",
        has_regexes=True,
        heredoc=r"<<~?['\"]?(?P<d>[A-Z]\w*)['\"]?",
        statements="my|our|sub|use|return|package|foreach|while|if",
    ),
    "php": Lexicon(
        (_C_BLOCK, _text('"', '"', (r"\{(?=\$)", "}"), _DOLLAR_BRACE), _text("'", "'"),
         _text("`", "`")),
        line_comment=r"//|#(?!\[)",
        skipped=r"\?>[\s\S]*?(?:<\?(?:php|=)|\Z)",
        heredoc=r"<<<\s*['\"]?(?P<d>[A-Za-z_]\w*)['\"]?",
        code_opening="<?",
        statements="if|for|foreach|while|switch|return|class|namespace|use|public|private",
    ),
    "python": Lexicon(
        (StringForm(_F_PREFIX + "(?P<d>'''|\"\"\")", "{0}", is_multiline=True, holes=_FIELD),
         StringForm(_F_PREFIX + "(?P<d>['\"])", "{0}", holes=_FIELD),
         _text(_PYTHON_PREFIX + "(?P<d>'''|\"\"\")", "{0}"),
         StringForm(_PYTHON_PREFIX + "(?P<d>['\"])", "{0}")),
        line_comment="#",
        statements=r"def|class|return|import|while|with|raise|try|except|finally|elif|@\w+|assert|del",
    ),
    "ruby": Lexicon(
        (_block(r"^=begin\b", r"^=end\b"),
         *(StringForm(rf"%[wWiIqQrx]?{o}", c, is_multiline=True, holes=(_HASH_BRACE,))
           for o, c in ((r"\(", r"\)"), (r"\[", r"\]"), (r"\{", r"\}"))),
         _text('"', '"', _HASH_BRACE), _text(r"(?<![\w$])'", "'"), _text("`", "`", _HASH_BRACE)),
        line_comment=r"(?<![\\$?])#(?!\{)",
        skipped=r"\$['\"`]|(?<![\w)])\?[^\s\w](?!\w)",
        words=dict.fromkeys(
            "class module def begin case if unless while until for do".split(), "end"
        ),
        loop_words=frozenset({"while", "until", "for"}),
        has_modifiers=True,
        has_regexes=True,
        heredoc=r"<<[~-]?['\"`]?(?P<d>[A-Z]\w*)['\"`]?",
        statements="class|module|def|require|return|end",
    ),
    "rust": Lexicon(
        (_NESTED_BLOCK, _raw(r'(?<!\w)(?:b|c)?r(?P<d>#*)"', '"{0}'),
         StringForm('"', '"', is_multiline=True)),
        line_comment="//", angles=True, semicolons="always",
        skipped=r"'(?:\\(?:u\{[^}'\n]*\}|x\w\w|[^\n])|[^\\'\n])'",
        statements="fn|pub|let|use|mod|struct|enum|impl|trait|return|while|for",
    ),
    "scala": Lexicon(
        (_NESTED_BLOCK, _raw(r'(?<!\w)\w+"""', r'"""(?!")', (_DOLLAR_BRACE,)),
         _raw('"""', r'"""(?!")'), StringForm(r'(?<!\w)\w+"', '"', holes=(_DOLLAR_BRACE,)),
         _DOUBLE),
        line_comment="//",
        skipped=_PRIME_SAFE,
        statements="def|val|var|class|object|trait|import|package|while",
    ),
    "sql": Lexicon(
        (_C_BLOCK, _raw(r"\$(?P<d>\w*)\$", r"\${0}\$"), _raw("'", "'"), _raw('"', '"'),
         _raw("`", "`")),
        line_comment="--",
        words={"case": "end"},
        has_any_case=True,
    ),
    "swift": Lexicon(
        (_NESTED_BLOCK, _raw(r'(?<!#)(?P<d>#+)"', '"{0}'), _text('"""', '"""', (r"\\\(", ")")),
         StringForm('"', '"', holes=((r"\\\(", ")"),))),
        line_comment="//", angles=True,
        statements="if|for|while|switch|return|let|var|func|class|struct|enum|import|guard",
    ),
    "toml": Lexicon(
        (_text('"""', '"""'), _raw("'''", "'''"), _DOUBLE, StringForm("'", "'", has_escapes=False)),
        line_comment="#",
    ),
    "tsx": _TSX,
    "typescript": _TYPESCRIPT,
    "yaml": Lexicon(
        (StringForm(r'(?<![^\s\[{,:(])"', '"', is_multiline=False),
         StringForm(r"(?<![^\s\[{,:(])'", "'", has_escapes=False)),
        line_comment=r"(?<!\S)#",
    ),
    "zig": Lexicon(
        (_DOUBLE,), line_comment=r"//|\\\\", skipped=_PRIME_SAFE,
        statements="fn|pub|const|var|return|while|for|defer",
    ),
}  # fmt: skip
_UNKNOWN_LEXICON = Lexicon((_C_BLOCK, *_QUOTES))


def lexicon_of(language: str) -> Lexicon:
    """The tokens of a language; brackets and quotes alone if it is unknown."""
    return LEXICONS.get(language, _UNKNOWN_LEXICON)
