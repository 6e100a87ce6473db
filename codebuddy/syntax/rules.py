"""language -> its rules, and the package that carries its grammar."""

from __future__ import annotations

from codebuddy.syntax import rules_data as data
from codebuddy.syntax import rules_dynamic as dynamic
from codebuddy.syntax import rules_functional as functional
from codebuddy.syntax import rules_managed as managed
from codebuddy.syntax import rules_scripting as scripting
from codebuddy.syntax import rules_systems as systems
from codebuddy.syntax.spec import LanguageSpec

_UNKNOWN_SPEC = LanguageSpec(line_comment="")

SPECS: dict[str, LanguageSpec] = {
    "bash": dynamic.BASH,
    "c": systems.C,
    "c_sharp": managed.C_SHARP,
    "cpp": systems.CPP,
    "css": data.CSS,
    "dart": managed.DART,
    "elixir": dynamic.ELIXIR,
    "go": systems.GO,
    "haskell": functional.HASKELL,
    "hcl": data.HCL,
    "html": data.HTML,
    "java": managed.JAVA,
    "javascript": scripting.JAVASCRIPT,
    "json": data.JSON,
    "julia": dynamic.JULIA,
    "kotlin": managed.KOTLIN,
    "lua": dynamic.LUA,
    "make": data.MAKE,
    "markdown": data.MARKDOWN,
    "objc": systems.OBJC,
    "ocaml": functional.OCAML,
    "ocaml_interface": functional.OCAML_INTERFACE,
    "perl": dynamic.PERL,
    "php": managed.PHP,
    "python": scripting.PYTHON,
    "ruby": dynamic.RUBY,
    "rust": systems.RUST,
    "scala": managed.SCALA,
    "sql": data.SQL,
    "swift": managed.SWIFT,
    "toml": data.TOML,
    "tsx": scripting.TSX,
    "typescript": scripting.TYPESCRIPT,
    "yaml": data.YAML,
    "zig": systems.ZIG,
    # Their markup and their JSON; the code in them is found by `embedded` and `notebook`.
    "notebook": data.NOTEBOOK,
    "vue": data.COMPONENT,
    "svelte": data.COMPONENT,
    "astro": data.COMPONENT,
}

# language -> (package, function), where they differ from `tree_sitter_<language>.language`.
LOADERS: dict[str, tuple[str, str]] = {
    "ocaml": ("tree_sitter_ocaml", "language_ocaml"),
    "ocaml_interface": ("tree_sitter_ocaml", "language_ocaml_interface"),
    "notebook": ("tree_sitter_json", "language"),
    **dict.fromkeys(["vue", "svelte", "astro"], ("tree_sitter_html", "language")),
    "php": ("tree_sitter_php", "language_php"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}


def spec_of(language: str) -> LanguageSpec:
    """The syntax of a language; one without rules if it is unknown."""
    return SPECS.get(language, _UNKNOWN_SPEC)
