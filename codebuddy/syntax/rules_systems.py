"""C, C++, Objective-C, Go, Rust, Zig and Swift: what their node types mean."""

from __future__ import annotations

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

_C_RULES = (
    define("function_definition", "function", "declarator"),
    define("struct_specifier", "struct", needs="body"),
    define("union_specifier", "union", needs="body"),
    define("enum_specifier", "enum", needs="body"),
    define("type_definition", "type", "declarator", "type/body", is_container=False),
    define("preproc_def", "macro", "name", "value", is_container=False),
    define("preproc_function_def", "macro", "name", "value", is_container=False),
    variable(
        "declaration",
        "declarator",
        kinds=("declarator", {"function_declarator": "prototype"}),
    ),
    variable("field_declaration", "declarator", "field"),
    variable("enumerator", "name", "constant"),
    refer("call_expression", "call", "function"),
    refer("type_identifier", "type"),
    imports("preproc_include", "path"),
    binds("parameter_declaration", "declarator"),
    binds("declaration", "declarator"),
    binds("preproc_params", "*"),
    binds("labeled_statement", "label"),
)
_C_SKIPPED = types("parameter_list number_literal argument_list initializer_list")

C = LanguageSpec(
    rules=_C_RULES,
    strings=types("string_literal char_literal system_lib_string"),
    blocks=types(
        "translation_unit compound_statement field_declaration_list enumerator_list"
        " declaration_list case_statement preproc_if preproc_ifdef preproc_else preproc_elif"
        " linkage_specification"
    ),
    attached=types("attribute_declaration"),
    skipped_in_patterns=_C_SKIPPED,
)

GO = LanguageSpec(
    rules=(
        define("function_declaration", "function"),
        define("method_declaration", "method", qualifier="receiver/<parameter_declaration>/type"),
        define("method_elem", "method"),
        define(
            "type_spec",
            "type",
            "name",
            ("type/<field_declaration_list>", "type"),
            kinds=("type", {"struct_type": "struct", "interface_type": "interface"}),
        ),
        define("type_alias", "type", "name", "type"),
        variable("const_spec", "name", "constant"),
        variable("var_spec", "name"),
        variable("field_declaration", "name", "field"),
        refer("call_expression", "call", "function"),
        refer("type_identifier", "type"),
        imports("import_spec", "path"),
        binds("import_spec", "name"),
        binds("const_spec"),
        binds("var_spec"),
        binds("parameter_declaration"),
        binds("variadic_parameter_declaration"),
        binds("type_parameter_declaration"),
        binds("short_var_declaration", "left"),
        binds("range_clause", "left"),
        binds("type_switch_statement", "alias"),
        binds("receive_statement", "left"),
        binds("labeled_statement", "label"),
    ),
    strings=types("interpreted_string_literal raw_string_literal rune_literal"),
    blocks=types(
        "source_file block statement_list field_declaration_list interface_type"
        " import_spec_list const_declaration var_declaration var_spec_list expression_case"
        " type_case default_case communication_case"
    ),
)
