"""language -> its rules, and the package that carries its grammar."""

from __future__ import annotations

from codebuddy.syntax import rules_scripting as scripting
from codebuddy.syntax import rules_systems as systems
from codebuddy.syntax.spec import LanguageSpec

SPECS: dict[str, LanguageSpec] = {
    "python": scripting.PYTHON,
    "javascript": scripting.JAVASCRIPT,
    "typescript": scripting.TYPESCRIPT,
    "tsx": scripting.TYPESCRIPT,
    "c": systems.C,
    "go": systems.GO,
}

# language -> (package, function), where they differ from `tree_sitter_<language>.language`.
LOADERS: dict[str, tuple[str, str]] = {
    "ocaml": ("tree_sitter_ocaml", "language_ocaml"),
    "ocaml_interface": ("tree_sitter_ocaml", "language_ocaml_interface"),
    "php": ("tree_sitter_php", "language_php"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
