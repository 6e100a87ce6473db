"""Haskell and OCaml: what their node types mean."""

from __future__ import annotations

from dataclasses import replace

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

HASKELL = LanguageSpec(
    rules=(
        define("data_type", "type", "name", ()),
        define("newtype", "type", "name", ()),
        define("type_synonym", "type", "name", (), is_container=False),
        define("class", "class", "name", "declarations"),
        define("instance", "impl", "name", "declarations"),
        define("signature", "signature", "name", is_container=False),
        define("function", "function", "name", "match"),
        define("bind", "function", "name", "match"),
        variable("data_constructor", ("constructor/name",), "constant"),
        variable("newtype_constructor", "name", "constant"),
        variable("field_name", "*", "field"),
        refer("apply", "call", "function"),
        refer("name", "type"),
        imports("import", "module", "names/name"),
        binds("function", "patterns"),
        binds("bind", "pattern"),
        binds("lambda", "patterns"),
        binds("alternative", "pattern"),
        binds("generator", "pattern"),
        binds("type_params", "*"),
    ),
    identifiers=types("variable name constructor module_id operator"),
    comments=types("comment haddock"),
    strings=types("string char"),
    blocks=types("haskell declarations imports class_declarations instance_declarations"),
    name_fields=(*LanguageSpec().name_fields, "id", "variable"),
    line_comment="--",
    merges_equations=True,
    word_blocks=True,
)

_OCAML_FUNCTIONS = {"fun_expression": "function", "function_expression": "function"}

OCAML = LanguageSpec(
    rules=(
        define("module_binding", "module", "<module_name>"),
        define("module_type_definition", "interface", "<module_type_name>"),
        define("type_binding", "type"),
        define("let_binding", "function", "pattern", "body", needs="<parameter>"),
        variable("let_binding", "pattern", kinds=("body", _OCAML_FUNCTIONS)),
        define("value_specification", "function", "<value_name>", is_container=False),
        define("external", "function", "<value_name>", is_container=False),
        define("class_binding", "class", "<class_name>"),
        define("method_definition", "method", "<method_name>"),
        variable("constructor_declaration", "<constructor_name>", "constant"),
        variable("field_declaration", "<field_name>", "field"),
        refer("application_expression", "call", "function"),
        refer("type_constructor_path", "type", "<type_constructor>"),
        imports("open_module", "module"),
        refer("module_path", "type", "<module_name>"),
        binds("parameter", "pattern"),
        binds("let_binding", "pattern"),
        binds("match_case", "pattern"),
        binds("for_expression", "name"),
    ),
    identifiers=types(
        "value_name value_pattern module_name module_type_name constructor_name field_name"
        " type_constructor class_name method_name"
    ),
    strings=types("string quoted_string character"),
    blocks=types("compilation_unit structure signature"),
    line_comment="",
    word_blocks=True,
)

# Signatures hold no bodies.
OCAML_INTERFACE = replace(OCAML, word_blocks=False)
