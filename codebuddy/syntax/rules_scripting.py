"""Python, JavaScript and TypeScript: what their node types mean."""

from __future__ import annotations

from dataclasses import replace

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

PYTHON = LanguageSpec(
    rules=(
        define("function_definition", "function"),
        define("class_definition", "class"),
        define("type_alias_statement", "type", "left"),
        variable("assignment", "left"),
        refer("call", "call", "function"),
        refer("decorator", "name", "*"),
        refer("type", "type", "*"),
        refer("generic_type", "type", "<identifier>"),
        refer("union_type", "type", "<type>/*", many=True),
        refer("class_definition", "type", "superclasses/<identifier>", many=True),
        refer("class_definition", "type", "superclasses/<attribute>/attribute", many=True),
        refer("keyword_argument", "name", "value", when=("name", "metaclass")),
        refer(
            "except_clause", "type", ("<identifier>", "<attribute>", "<as_pattern>/<identifier>")
        ),
        imports("import_statement", ("<dotted_name>", "<aliased_import>/name")),
        imports("import_from_statement", "module_name", "name"),
        binds("parameters", "*"),
        binds("lambda_parameters", "*"),
        binds("for_statement", "left"),
        binds("for_in_clause", "left"),
        binds("named_expression", "name"),
        binds("as_pattern_target", "*"),
        binds("augmented_assignment", "left"),
        binds("case_pattern", "*"),
        binds("function_definition", "type_parameters/<type>/<identifier>"),
        binds("class_definition", "type_parameters/<type>/<identifier>"),
    ),
    strings=types("string concatenated_string"),
    blocks=types("module block"),
    attached=types("decorator"),
    skipped_in_patterns=types("attribute subscript type call"),
    line_comment="#",
    docstring=True,
    single_quoted_strings=True,
)

_FUNCTION_VALUES = {
    "arrow_function": "function",
    "function_expression": "function",
    "generator_function": "function",
    "class": "class",
}

_JAVASCRIPT_RULES = (
    define("function_declaration", "function"),
    define("generator_function_declaration", "function"),
    define("class_declaration", "class"),
    define("method_definition", "method"),
    define(
        "variable_declarator", "function", "name", "value/body", needs="value/<statement_block>"
    ),
    define("variable_declarator", "class", "name", "value/body", needs="value/<class_body>"),
    variable("variable_declarator", "name", kinds=("value", _FUNCTION_VALUES)),
    define(
        "assignment_expression",
        "function",
        "left",
        "right/body",
        needs="right/<statement_block>",
    ),
    define("pair", "function", "key", "value/body", needs="value/<statement_block>"),
    refer("call_expression", "call", "function"),
    refer("new_expression", "call", "constructor"),
    refer("decorator", "name", "*"),
    imports(
        "import_statement",
        "source",
        (
            "<import_clause>/<named_imports>/<import_specifier>/name",
            "<import_clause>/<identifier>",
            "<import_clause>/<namespace_import>",
        ),
    ),
    imports(
        "export_statement", "source", "<export_clause>/<export_specifier>/name", needs="source"
    ),
    imports("call_expression", "arguments/<string>", when=("function", "require import")),
    binds("variable_declarator"),
    binds("formal_parameters", "*"),
    binds("arrow_function", "parameter"),
    binds("catch_clause", "parameter"),
    binds("for_in_statement", "left"),
    binds("assignment_expression", "left"),
    binds("pair", "key"),
    binds("labeled_statement", "label"),
)

_JSX_RULES = (
    refer("jsx_opening_element", "name", "name"),
    refer("jsx_self_closing_element", "name", "name"),
)

JAVASCRIPT = LanguageSpec(
    rules=(
        *_JAVASCRIPT_RULES,
        *_JSX_RULES,
        variable("field_definition", "property", "field", kinds=("value", _FUNCTION_VALUES)),
        refer("class_heritage", "type", "*"),
    ),
    identifiers=types("shorthand_property_identifier_pattern"),
    comments=types("comment html_comment"),
    strings=types("string template_string regex"),
    blocks=types("program statement_block class_body switch_body switch_case switch_default"),
    attached=types("decorator"),
    skipped_in_patterns=types("member_expression subscript_expression property_identifier"),
    single_quoted_strings=True,
)

TYPESCRIPT = LanguageSpec(
    rules=(
        *_JAVASCRIPT_RULES,
        define("abstract_class_declaration", "class"),
        define("interface_declaration", "interface"),
        define("type_alias_declaration", "type", "name", ()),
        define("enum_declaration", "enum"),
        define("internal_module", "module"),
        define("module", "module"),
        define("function_signature", "function"),
        define("method_signature", "method"),
        define("abstract_method_signature", "method"),
        variable("property_signature", "name", "field"),
        variable("public_field_definition", "name", "field", kinds=("value", _FUNCTION_VALUES)),
        variable("enum_assignment", "name", "constant"),
        variable("enum_body", "name", "constant"),
        refer("type_identifier", "type"),
        refer("extends_clause", "type", "value"),
        binds("required_parameter", "pattern"),
        binds("optional_parameter", "pattern"),
        binds("type_parameter"),
    ),
    identifiers=types("shorthand_property_identifier_pattern"),
    comments=types("comment html_comment"),
    strings=types("string template_string regex"),
    blocks=types(
        "program statement_block class_body interface_body object_type enum_body switch_body"
        " switch_case switch_default"
    ),
    attached=types("decorator"),
    skipped_in_patterns=types(
        "member_expression subscript_expression property_identifier type_annotation"
    ),
    single_quoted_strings=True,
)

TSX = replace(TYPESCRIPT, rules=(*TYPESCRIPT.rules, *_JSX_RULES))
