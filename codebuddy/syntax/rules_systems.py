"""C, C++, Objective-C, Go, Rust and Zig: what their node types mean."""

from __future__ import annotations

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

_C_TYPES = {"struct_specifier": "struct", "union_specifier": "union", "enum_specifier": "enum"}

_C_RULES = (
    define("function_definition", "function", "declarator"),
    define("struct_specifier", "struct", needs="body"),
    define("union_specifier", "union", needs="body"),
    define("enum_specifier", "enum", needs="body"),
    define(
        "type_definition",
        "type",
        "declarator",
        "type/body",
        kinds=("type", _C_TYPES),
        many=True,
        needs="!type/name",
    ),
    define("type_definition", "type", "declarator", "type/body", many=True, is_container=False),
    define("preproc_def", "macro", "name", "value", is_container=False),
    define("preproc_function_def", "macro", "name", "value", is_container=False),
    variable(
        "declaration",
        "declarator",
        kinds=("declarator", {"function_declarator": "prototype"}),
    ),
    variable(
        "field_declaration",
        "declarator",
        "field",
        kinds=("declarator", {"function_declarator": "prototype"}),
    ),
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
            ("type/<field_declaration_list>", "type/<method_elem>"),
            kinds=("type", {"struct_type": "struct", "interface_type": "interface"}),
        ),
        define("type_alias", "type", "name", ()),
        variable("const_spec", "name", "constant"),
        variable("var_spec", "name"),
        variable("field_declaration", "name", "field"),
        refer("call_expression", "call", "function"),
        refer("type_identifier", "type"),
        imports("import_spec", "path"),
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
    name_fields=(*LanguageSpec().name_fields, "type"),
)

_CPP_RULES = (
    define("class_specifier", "class", needs="body"),
    define("namespace_definition", "module"),
    define("alias_declaration", "type", "name", (), is_container=False),
    define("concept_definition", "concept", is_container=False),
    *_C_RULES,
    refer("base_class_clause", "type", "<qualified_identifier>"),
    refer("new_expression", "call", "type"),
    refer("using_declaration", "name", "*"),
    binds("optional_parameter_declaration", "declarator"),
    binds("for_range_loop", "declarator"),
    binds("type_parameter_declaration", "*"),
    binds("lambda_capture_specifier", "*"),
)

CPP = LanguageSpec(
    rules=_CPP_RULES,
    strings=types("string_literal raw_string_literal char_literal system_lib_string"),
    blocks=C.blocks | types("case_statement"),
    attached=types("attribute_declaration access_specifier"),
    skipped_in_patterns=_C_SKIPPED,
    needs_statement_end=True,
)

OBJC = LanguageSpec(
    rules=(
        *_C_RULES,
        define(
            "class_interface",
            "class",
            "<identifier>",
            ("<property_declaration>", "<method_declaration>"),
        ),
        define("class_implementation", "impl", "<identifier>", "<implementation_definition>"),
        define(
            "protocol_declaration",
            "protocol",
            "<identifier>",
            ("<property_declaration>", "<method_declaration>"),
        ),
        define("method_definition", "method", "<identifier>", "<compound_statement>"),
        define("method_declaration", "method", "<identifier>"),
        variable("property_declaration", "<struct_declaration>/<struct_declarator>", "property"),
        refer("message_expression", "call", "method"),
        refer("class_interface", "type", "superclass"),
        refer("protocol_reference_list", "type", "<identifier>"),
        imports("module_import", "path"),
        binds("method_parameter", "<identifier>"),
    ),
    strings=types("string_literal char_literal system_lib_string"),
    blocks=C.blocks
    | types("class_interface class_implementation implementation_definition protocol_declaration"),
    skipped_in_patterns=_C_SKIPPED,
)

RUST = LanguageSpec(
    rules=(
        define("function_item", "function"),
        define("function_signature_item", "function"),
        define("struct_item", "struct"),
        define("enum_item", "enum"),
        define("union_item", "union"),
        define("trait_item", "trait"),
        define("impl_item", "impl", "type"),
        define("mod_item", "module"),
        define("type_item", "type", "name", (), is_container=False),
        define("associated_type", "type", is_container=False),
        define("macro_definition", "macro", "name", "<macro_rule>"),
        variable("const_item", "name", "constant"),
        variable("static_item", "name", "variable"),
        variable("field_declaration", "name", "field"),
        variable("enum_variant", "name", "constant"),
        refer("call_expression", "call", "function"),
        refer("macro_invocation", "call", "macro"),
        refer("type_identifier", "type"),
        refer("attribute", "name", "*"),
        imports(
            "use_declaration",
            (
                "<scoped_use_list>/path",
                "<scoped_identifier>",
                "<identifier>",
                "<use_wildcard>/*",
                "<use_as_clause>/path",
            ),
            (
                "<scoped_use_list>/list/<identifier>",
                "<scoped_use_list>/list/<scoped_identifier>",
                "<scoped_use_list>/list/<use_as_clause>/path",
                "<scoped_use_list>/list/<scoped_use_list>/list/<identifier>",
            ),
        ),
        imports("extern_crate_declaration", "name"),
        binds("let_declaration", "pattern"),
        binds("parameter", "pattern"),
        binds("closure_parameters", "*"),
        binds("for_expression", "pattern"),
        binds("let_condition", "pattern"),
        binds("match_arm", "pattern"),
        binds("type_parameter"),
        binds("lifetime_parameter"),
        binds("const_parameter"),
    ),
    comments=types("line_comment block_comment"),
    strings=types("string_literal raw_string_literal char_literal"),
    blocks=types(
        "source_file block declaration_list field_declaration_list enum_variant_list match_block"
    ),
    attached=types("attribute_item"),
    name_fields=(*LanguageSpec().name_fields, "type", "trait"),
)

_ZIG_CONTAINERS = ("struct", "enum", "union", "error_set", "opaque")

ZIG = LanguageSpec(
    rules=(
        define("function_declaration", "function"),
        *(
            define(
                "variable_declaration",
                kind.removesuffix("_set"),
                "<identifier>",
                f"<{kind}_declaration>",
                needs=f"<{kind}_declaration>",
            )
            for kind in _ZIG_CONTAINERS
        ),
        variable("variable_declaration", "^identifier"),
        variable("container_field", "name", "field"),
        define(
            "test_declaration", "test", ("<string>/<string_content>", "<identifier>"), "<block>"
        ),
        refer("call_expression", "call", "function"),
        refer("parameter", "type", "type"),
        refer("function_declaration", "type", "type"),
        refer("container_field", "type", "type"),
        refer("variable_declaration", "type", "type"),
        imports(
            "builtin_function",
            "<arguments>/<string>",
            when=("<builtin_identifier>", "@import @cImport @embedFile"),
        ),
        binds("parameter"),
        binds("payload", "*"),
    ),
    strings=types("string multiline_string character"),
    blocks=types(
        "source_file block struct_declaration enum_declaration union_declaration switch_expression"
    ),
    name_fields=(*LanguageSpec().name_fields, "member"),
)
