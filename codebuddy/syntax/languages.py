"""Which language a file is written in: by name, by extension, by its first line.

It knows no grammar and opens no file; the caller passes the first bytes if it has them.
"""

from __future__ import annotations

import re

UNKNOWN = "text"

# language -> extensions (lower case, without the dot).
_EXTENSIONS: dict[str, str] = {
    "bash": "sh bash zsh ksh bats ebuild",
    "c": "c h",
    "c_sharp": "cs csx",
    "cpp": "cc cpp cxx c++ cu cuh hh hpp hxx h++ ipp inl tpp ixx cppm ino metal",
    "css": "css",
    "dart": "dart",
    "elixir": "ex exs",
    "go": "go",
    "haskell": "hs hs-boot",
    "hcl": "hcl tf tfvars nomad",
    "html": "html htm xhtml",
    "java": "java",
    "javascript": "js jsx mjs cjs es6",
    "json": "json jsonc json5 geojson webmanifest code-workspace",
    "julia": "jl",
    "kotlin": "kt kts",
    "lua": "lua rockspec",
    "make": "mk mak make",
    "markdown": "md markdown mdx mdown",
    "objc": "m mm",
    "ocaml": "ml",
    "ocaml_interface": "mli",
    "perl": "pl pm t psgi",
    "php": "php phtml php5 php7 phps",
    "python": "py pyi pyw pyx pxd wsgi",
    "ruby": "rb rake gemspec ru podspec",
    "rust": "rs",
    "scala": "scala sc sbt",
    "sql": "sql ddl pgsql psql",
    "swift": "swift",
    "toml": "toml",
    "tsx": "tsx",
    "typescript": "ts mts cts",
    "yaml": "yaml yml clang-format",
    "zig": "zig zon",
}

# Documents that hold code of other languages (`embedded`, `notebook`); none has a grammar of
# its own.
NOTEBOOK = "notebook"
_DOCUMENTS = {"vue": "vue", "svelte": "svelte", "astro": "astro", "ipynb": NOTEBOOK}
# Of these documents and HTML: what is no code of another language is markup.
MARKUP = frozenset({"html", "vue", "svelte", "astro"})

# language -> whole file names (lower case).
_FILE_NAMES: dict[str, str] = {
    "bash": ".bashrc .bash_profile .profile .zshrc .zprofile pkgbuild apkbuild",
    "json": ".babelrc .eslintrc .prettierrc composer.lock pipfile.lock flake.lock",
    "make": "makefile gnumakefile bsdmakefile",
    "python": "sconstruct sconscript wscript",
    "ruby": "gemfile rakefile vagrantfile podfile brewfile fastfile guardfile",
    "toml": "cargo.lock poetry.lock uv.lock pipfile pdm.lock",
    "yaml": ".clang-format .clang-tidy .clangd .yamllint",
}

# Suffixes of text and data that people search for by file name, beside those of source code.
TEXT_SUFFIXES = frozenset("md rst txt json toml yaml yml html css scss sh sql xml ini cfg".split())

# interpreter named in a first line `#!...` -> language.
_INTERPRETERS: dict[str, str] = {
    **dict.fromkeys(["sh", "bash", "dash", "zsh", "ksh", "ash", "bats"], "bash"),
    **dict.fromkeys(["node", "nodejs", "bun"], "javascript"),
    **dict.fromkeys(["deno", "ts-node", "tsx"], "typescript"),
    **dict.fromkeys(["python", "pypy", "uv"], "python"),
    **dict.fromkeys(["ruby", "jruby", "rake"], "ruby"),
    **dict.fromkeys(["lua", "luajit", "texlua"], "lua"),
    **dict.fromkeys(["runghc", "runhaskell", "stack"], "haskell"),
    "elixir": "elixir",
    "julia": "julia",
    "make": "make",
    "ocaml": "ocaml",
    "perl": "perl",
    "php": "php",
    "scala": "scala",
    "swift": "swift",
}


def _by_word(table: dict[str, str]) -> dict[str, str]:
    """Each of the words -> the language whose row it stands in."""
    return {word: language for language, words in table.items() for word in words.split()}


_BY_EXTENSION = _by_word(_EXTENSIONS) | _DOCUMENTS
_BY_FILE_NAME = _by_word(_FILE_NAMES)

# What editors, notebooks and tags call a language, where that is not its name here.
# The language ids of the Language Server Protocol.
EDITOR_IDS = _by_word(
    {
        "bash": "shellscript",
        "c_sharp": "csharp",
        "css": "less scss",
        "hcl": "terraform",
        "javascript": "javascriptreact",
        "json": "jsonc",
        "make": "makefile",
        "objc": "objective-c",
        "tsx": "typescriptreact",
    }
)
# The languages of Jupyter's kernels and of cells.
KERNEL_NAMES = _by_word(
    {
        "bash": "shell sh",
        "c_sharp": "c# csharp",
        "cpp": "c++ c++11 c++14 c++17 c++20",
        "go": "golang",
        "javascript": "js",
        "python": "ipython python3",
        "typescript": "ts deno",
    }
)
# The `lang` and `type` of tags whose content is code; an empty one is a script's.
TAG_NAMES = {"": "javascript"} | _by_word(
    {
        "css": "css scss less postcss",
        "html": "html",
        "javascript": "js javascript jsx module babel",
        "json": "json ld+json importmap speculationrules",
        "tsx": "tsx",
        "typescript": "ts typescript",
    }
)
# The language of IPython, and of a notebook that does not say; that of cells of text.
NOTEBOOK_CODE = "python"
NOTEBOOK_TEXT = "markdown"

_SHEBANG = re.compile(rb"#!\s*(\S+)(?:\s+(?:-S\s+)?(?:\w+=\S*\s+)*(\S+))?")
_VERSION = re.compile(r"(?<![-\d.])[-\d.]+$")

# What a C header can only hold in one of its larger relatives.
_OBJC_HEADER = re.compile(rb"^[^\S\n]*+(?:@interface|@protocol|@class|#import)\b", re.MULTILINE)
_OBJC_SOURCE = re.compile(rb"^[^\S\n]*+(?:#\s*+\w+|@\w+|//|/\*)", re.MULTILINE)
_CPP_HEADER = re.compile(
    rb"^[^\S\n]*+(?:template\s*<|namespace\b|using\s+\w|class\s+\w|public:|private:|protected:)"
    rb"|^[^\S\n]*+#\s*+include\s*<(?:\w+)>|\bstd::",
    re.MULTILINE,
)


def languages() -> tuple[str, ...]:
    """Every language with a grammar, in alphabetical order."""
    return tuple(sorted(_EXTENSIONS))


def extensions(language: str) -> tuple[str, ...]:
    """The file name extensions of `language`, the most usual first; none if it is unknown."""
    own = [extension for extension, name in _DOCUMENTS.items() if name == language]
    return tuple(_EXTENSIONS.get(language, "").split() or own)


def language_for(path: str, head: bytes = b"") -> str:
    """The language of the file `path`: a name of `languages()`, a document's, or `text`.

    Documents that embed code are `vue`, `svelte`, `astro` and `notebook`.

    `head` is the file's beginning, as much as is at hand; it decides for files without a
    telling name (`#!`) and tells C headers from C++ and Objective-C ones.
    """
    name = path.rpartition("/")[2].lower()
    stem, dot, extension = name.rpartition(".")
    language = _BY_FILE_NAME.get(name)
    if language is None and dot and stem:
        language = _BY_EXTENSION.get(extension)
    if language is None and name.startswith("makefile."):
        language = "make"
    if language is None and (not dot or not stem):
        language = _by_first_line(head)
    if language == "c" and extension == "h":
        language = _header_language(head)
    if language == "objc" and extension == "m" and _is_not_objc(head):
        return UNKNOWN
    return language or UNKNOWN


def _by_first_line(head: bytes) -> str | None:
    match = _SHEBANG.match(head[:256])
    if match is None:
        return None
    program = match[1].rpartition(b"/")[2]
    if program == b"env" and match[2]:
        program = match[2].rpartition(b"/")[2]
    return _INTERPRETERS.get(_VERSION.sub("", program.decode("ascii", "replace")))


def _header_language(head: bytes) -> str:
    if _OBJC_HEADER.search(head):
        return "objc"
    return "cpp" if _CPP_HEADER.search(head) else "c"


def _is_not_objc(head: bytes) -> bool:
    """`.m` is MATLAB's and Mathematica's too; Objective-C says what it is near the top."""
    return bool(head.strip()) and not _OBJC_SOURCE.search(head)
