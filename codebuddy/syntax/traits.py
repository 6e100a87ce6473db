"""Conventions of projects in each language: where names are visible, what is code and what data.

Data without grammar rules; facts about a grammar are fields of `LanguageSpec`. It knows no file and
no index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# `code` calls code; files of the other categories are looked up for other reasons, or not at all.
Category = Literal[
    "code", "query", "style", "config", "markup", "data", "build", "document", "unknown"
]
# How far a name is visible that nobody imports.
NameScope = Literal["file", "folder", "program"]
# How `syntax.imported` reads what a file imports, name by name.
ImportSyntax = Literal["", "python", "script"]
# What the hook's rules can tell: whether a call fits a function's parameters, whether anything
# binds a name, whether a body is missing.
Analysis = Literal["signatures", "bindings", "stubs"]

# A heading or a key that is spelled like a name of the code does not define it.
_NAMELESS: frozenset[Category] = frozenset({"style", "markup", "data"})


@dataclass(frozen=True, slots=True)
class LanguageTraits:
    """The conventions of one language; no field has a default.

    Attributes:
        category: What its files are.
        name_scope: Whether the files of a folder, or of the program, see each other's names.
        has_type_members: Whether functions are members of types, so that lookups of what a folder
            defines want members too.
        has_code_fences: Whether a line of three backticks is usual in its text.
        has_importable_functions: Whether a file can call the functions of another one.
        import_syntax: How its imports are read name by name; empty if they are not. Files of one
            syntax import each other.
        analyses: What the hook's rules can tell of it.
    """

    category: Category
    name_scope: NameScope
    has_type_members: bool
    has_code_fences: bool
    has_importable_functions: bool
    import_syntax: ImportSyntax
    analyses: frozenset[Analysis]

    @property
    def defines_names(self) -> bool:
        """Whether what its files define can be what a name in code means."""
        return self.category not in _NAMELESS


def traits_of(language: str) -> LanguageTraits:
    """The conventions of a language or document; those of unknown text if it has no row."""
    return TRAITS.get(language, _UNKNOWN_TRAITS)


# A file of this stem is its folder's module.
PACKAGE_STEMS = frozenset({"__init__", "index", "mod", "lib", "main"})


@dataclass(frozen=True, slots=True)
class ImportConvention:
    """How imports name files in a family of languages, which import each other's files.

    Attributes:
        suffixes: Of its files; where several fit an import, in this order.
        package_stems: Of the files that are their folder's module.
        importing_only: Those suffixes that nothing imports.
        is_dotted: Whether dots separate the words of a module path, not slashes.
        target: Whether an import names a file, a folder with all its files, or either.
        climbs_by_dots: Whether each leading dot is a folder up, and a name imported from a package
            can be a module in it.
        has_crates: Whether paths begin at a crate, at `self` or at `super`.
        looks_beside: Whether a path is looked for in the importing file's folder first.
        headers: Suffixes of files that declare what others of the same stem implement.
        min_words: How many words of a module path must be found; fewer say nothing.
        max_names: How many last words of it may be names within the module.
        prefixes: What may stand before the path in the tree: nothing, `any` words, or those of a
            `host` and its owners, where the first word has a dot.
    """

    suffixes: tuple[str, ...]
    package_stems: frozenset[str] = PACKAGE_STEMS
    importing_only: frozenset[str] = frozenset()
    is_dotted: bool = False
    target: Literal["file", "folder", "either"] = "file"
    climbs_by_dots: bool = False
    has_crates: bool = False
    looks_beside: bool = False
    headers: frozenset[str] = frozenset()
    min_words: int = 2
    max_names: int = 2
    prefixes: Literal["", "any", "host"] = ""


_HEADERS = ("h", "hh", "hpp", "hxx")
IMPORT_CONVENTIONS: dict[str, ImportConvention] = {
    "python": ImportConvention(
        ("py", "pyi", "pyx", "ipynb"),
        importing_only=frozenset({"ipynb"}),
        is_dotted=True,
        climbs_by_dots=True,
        min_words=1,
    ),
    "javascript": ImportConvention(
        ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte", "astro"),
        max_names=0,
        prefixes="any",
    ),
    "go": ImportConvention(("go",), target="folder", prefixes="host"),
    "rust": ImportConvention(("rs",), has_crates=True),
    "java": ImportConvention(
        ("java", "kt", "kts", "scala", "groovy"), is_dotted=True, target="either"
    ),
    "c": ImportConvention(
        ("c", "cc", "cpp", "cxx", "m", "mm", "cu", *_HEADERS),
        looks_beside=True,
        headers=frozenset(_HEADERS),
    ),
    "ruby": ImportConvention(("rb",), looks_beside=True),
    "php": ImportConvention(("php",), looks_beside=True, prefixes="any"),
    "c_sharp": ImportConvention(("cs",), is_dotted=True, target="either"),
    "swift": ImportConvention(("swift",)),
    "dart": ImportConvention(("dart",), looks_beside=True),
    "lua": ImportConvention(("lua",), is_dotted=True),
    "elixir": ImportConvention(("ex", "exs")),
}
# Suffixes that an import may be written with, in any family: a part of a pattern.
WRITTEN_SUFFIXES = "[cm]?[jt]sx?|vue|svelte|astro|hpp|hh|hxx|h|rb|php|dart|lua"

# Words of import statements in most languages; they name no module. Another one changes what is
# looked up in all of them, and `RETRIEVAL_VERSION` with it.
IMPORT_WORDS = frozenset("from import use require const pub as".split())
# Beginnings of a line that may import, in most languages: a part of a pattern.
IMPORT_OPENINGS = "import|from|use|const|export|#include"

# The ends of a line behind which a block may begin; must begin; and behind which an editor indents
# the next line further. They are the same in all languages.
BLOCK_OPENERS = ("{", "=>", "->", ":")
HEADER_ENDS = ("{", ":")
INDENTING_ENDS = ("{", ":", "[", "(")

_YES, _NO = True, False
_NONE: frozenset[Analysis] = frozenset()
_ALL: frozenset[Analysis] = frozenset({"signatures", "bindings", "stubs"})

_UNKNOWN_TRAITS = LanguageTraits("unknown", "file", _NO, _NO, _YES, "", _NONE)

# A row for each name of `languages()`, then for each document that embeds code.
# fmt: off
TRAITS: dict[str, LanguageTraits] = {
    # Each row: category, name_scope, has_type_members, has_code_fences, has_importable_functions,
    # import_syntax, analyses.
    "bash":            LanguageTraits("code",     "file",    _NO,  _NO,  _NO,  "",       _NONE),
    "c":               LanguageTraits("code",     "program", _NO,  _NO,  _YES, "",       _NONE),
    "c_sharp":         LanguageTraits("code",     "folder",  _YES, _NO,  _YES, "",       _NONE),
    "cpp":             LanguageTraits("code",     "program", _NO,  _NO,  _YES, "",       _NONE),
    "css":             LanguageTraits("style",    "file",    _NO,  _NO,  _YES, "",       _NONE),
    "dart":            LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "elixir":          LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "go":              LanguageTraits("code",     "folder",  _NO,  _NO,  _YES, "",       _NONE),
    "haskell":         LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "hcl":             LanguageTraits("config",   "file",    _NO,  _NO,  _YES, "",       _NONE),
    "html":            LanguageTraits("markup",   "file",    _NO,  _NO,  _YES, "",       _NONE),
    "java":            LanguageTraits("code",     "folder",  _YES, _NO,  _YES, "",       _NONE),
    "javascript":      LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "script", _NONE),
    "json":            LanguageTraits("data",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "julia":           LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "kotlin":          LanguageTraits("code",     "folder",  _YES, _NO,  _YES, "",       _NONE),
    "lua":             LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "make":            LanguageTraits("build",    "file",    _NO,  _NO,  _YES, "",       _NONE),
    "markdown":        LanguageTraits("markup",   "file",    _NO,  _YES, _YES, "",       _NONE),
    "objc":            LanguageTraits("code",     "program", _NO,  _NO,  _YES, "",       _NONE),
    "ocaml":           LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "ocaml_interface": LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "perl":            LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "php":             LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "python":          LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "python", _ALL),
    "ruby":            LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "rust":            LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "scala":           LanguageTraits("code",     "folder",  _NO,  _NO,  _YES, "",       _NONE),
    "sql":             LanguageTraits("query",    "file",    _NO,  _NO,  _YES, "",       _NONE),
    "swift":           LanguageTraits("code",     "folder",  _NO,  _NO,  _YES, "",       _NONE),
    "toml":            LanguageTraits("data",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "tsx":             LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "script", _NONE),
    "typescript":      LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "script", _NONE),
    "yaml":            LanguageTraits("data",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "zig":             LanguageTraits("code",     "file",    _NO,  _NO,  _YES, "",       _NONE),
    "notebook":        LanguageTraits("document", "file",    _NO,  _NO,  _YES, "",       _NONE),
    "vue":             LanguageTraits("document", "file",    _NO,  _NO,  _YES, "",       _NONE),
    "svelte":          LanguageTraits("document", "file",    _NO,  _NO,  _YES, "",       _NONE),
    "astro":           LanguageTraits("document", "file",    _NO,  _NO,  _YES, "",       _NONE),
}
# fmt: on
