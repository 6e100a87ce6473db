"""Java, C#, Kotlin, Scala, Swift, Dart and PHP: what their node types mean."""

from __future__ import annotations

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

JAVA = LanguageSpec(
    rules=(
        define("class_declaration", "class"),
        define("interface_declaration", "interface"),
        define("enum_declaration", "enum"),
        define("record_declaration", "record"),
        define("annotation_type_declaration", "interface"),
        define("method_declaration", "method"),
        define("constructor_declaration", "constructor"),
        define("compact_constructor_declaration", "constructor"),
        variable("field_declaration", "declarator/name", "field"),
        variable("constant_declaration", "declarator/name", "constant"),
        variable("enum_constant", "name", "constant"),
        refer("method_invocation", "call", "name"),
        refer("object_creation_expression", "call", "type"),
        refer("type_identifier", "type"),
        refer("annotation", "name", "name"),
        refer("marker_annotation", "name", "name"),
        imports("import_declaration", ("<scoped_identifier>", "<identifier>")),
        binds("formal_parameter"),
        binds("spread_parameter", "<variable_declarator>/name"),
        binds("catch_formal_parameter"),
        binds("local_variable_declaration", "declarator/name"),
        binds("enhanced_for_statement"),
        binds("inferred_parameters", "*"),
        binds("lambda_expression", "parameters"),
        binds("resource"),
        binds("type_parameter", "*"),
        binds("type_pattern", "*"),
        binds("instanceof_expression", "name"),
    ),
    comments=types("line_comment block_comment"),
    strings=types("string_literal character_literal"),
    blocks=types(
        "program block class_body interface_body enum_body enum_body_declarations"
        " constructor_body annotation_type_body switch_block switch_block_statement_group"
    ),
    name_fields=(*LanguageSpec().name_fields, "type"),
)

_CS_TYPE = ("type/<identifier>", "type")

C_SHARP = LanguageSpec(
    rules=(
        define("namespace_declaration", "module"),
        define("file_scoped_namespace_declaration", "module", is_container=False),
        define("class_declaration", "class"),
        define("interface_declaration", "interface"),
        define("struct_declaration", "struct"),
        define("enum_declaration", "enum"),
        define("record_declaration", "record"),
        define("method_declaration", "method"),
        define("constructor_declaration", "constructor"),
        define("delegate_declaration", "type", is_container=False),
        define("local_function_statement", "function"),
        define("property_declaration", "property", "name", ("accessors", "value")),
        variable("field_declaration", "<variable_declaration>/<variable_declarator>/name", "field"),
        variable(
            "event_field_declaration",
            "<variable_declaration>/<variable_declarator>/name",
            "field",
        ),
        variable("enum_member_declaration", "name", "constant"),
        refer("invocation_expression", "call", "function"),
        refer("object_creation_expression", "call", _CS_TYPE),
        refer("base_list", "type", ("<identifier>", "<qualified_name>"), many=True),
        refer("base_list", "type", "<generic_name>/<identifier>", many=True),
        refer("parameter", "type", _CS_TYPE),
        refer("variable_declaration", "type", _CS_TYPE),
        refer("property_declaration", "type", _CS_TYPE),
        refer("method_declaration", "type", ("returns/<identifier>", "returns")),
        refer("type_argument_list", "type", "<identifier>", many=True),
        refer("cast_expression", "type", _CS_TYPE),
        refer("typeof_expression", "type", _CS_TYPE),
        refer("attribute", "name", "name"),
        imports("using_directive", "<qualified_name>"),
        imports("using_directive", "<identifier>", needs="!<qualified_name>"),
        binds("parameter"),
        binds("variable_declarator"),
        binds("foreach_statement", "left"),
        binds("catch_declaration"),
        binds("declaration_expression"),
        binds("declaration_pattern"),
        binds("lambda_expression", "parameters"),
        binds("type_parameter"),
    ),
    strings=types(
        "string_literal verbatim_string_literal raw_string_literal character_literal"
        " interpolated_string_expression"
    ),
    blocks=types(
        "compilation_unit block declaration_list enum_member_declaration_list switch_body"
        " accessor_list"
    ),
    attached=types("attribute_list"),
)

KOTLIN = LanguageSpec(
    rules=(
        define("class_declaration", "interface", "name", "<class_body>", needs="'interface'"),
        define("class_declaration", "enum", "name", "<enum_class_body>", needs="<enum_class_body>"),
        define("class_declaration", "class", "name", "<class_body>"),
        define("object_declaration", "object", "name", "<class_body>"),
        define("function_declaration", "function", "name", "<function_body>"),
        define("type_alias", "type", "type", (), is_container=False),
        variable("property_declaration", "<variable_declaration>/<identifier>"),
        variable("class_parameter", "<identifier>", "field"),
        variable("enum_entry", "^identifier", "constant"),
        refer("call_expression", "call", ("^identifier", "^navigation_expression")),
        refer("user_type", "type", "<identifier>"),
        refer("constructor_invocation", "call", "<user_type>/<identifier>"),
        refer("annotation", "name", ("<user_type>", "<constructor_invocation>/<user_type>")),
        imports("import", "<qualified_identifier>"),
        binds("parameter", "<identifier>"),
        binds("variable_declaration", "<identifier>"),
        binds("type_parameter", "<identifier>"),
        binds("catch_block", "<identifier>"),
    ),
    comments=types("line_comment block_comment"),
    strings=types("string_literal multiline_string_literal character_literal"),
    blocks=types("source_file block class_body enum_class_body when_expression lambda_literal"),
)

SCALA = LanguageSpec(
    rules=(
        define("class_definition", "class"),
        define("object_definition", "object"),
        define("trait_definition", "trait"),
        define("enum_definition", "enum"),
        define("function_definition", "function"),
        define("function_declaration", "function"),
        define("type_definition", "type", "name", (), is_container=False),
        define("given_definition", "object"),
        variable("val_definition", "pattern", "constant"),
        variable("var_definition", "pattern"),
        variable("val_declaration", "name", "constant"),
        variable("var_declaration", "name"),
        variable("simple_enum_case", "name", "constant"),
        define("full_enum_case", "class", "name", "class_parameters"),
        refer("call_expression", "call", "function"),
        refer("instance_expression", "call", ("<type_identifier>", "<generic_type>/type")),
        refer("type_identifier", "type"),
        refer("annotation", "name", "name"),
        imports("import_declaration", ".", ("<namespace_selectors>/*",)),
        binds("parameter"),
        binds("class_parameter"),
        binds("val_definition", "pattern"),
        binds("var_definition", "pattern"),
        binds("enumerator", "^identifier"),
        binds("case_clause", "pattern"),
        binds("lambda_expression", "parameters"),
        binds("binding"),
    ),
    comments=types("comment block_comment"),
    strings=types("string interpolated_string_expression character_literal"),
    blocks=types(
        "compilation_unit block indented_block template_body with_template_body enum_body"
        " case_block"
    ),
    attached=types("annotation"),
)

SWIFT = LanguageSpec(
    rules=(
        *(
            define("class_declaration", kind, when=("declaration_kind", word))
            for word, kind in (
                ("struct", "struct"),
                ("enum", "enum"),
                ("extension", "extension"),
                ("actor", "class"),
                ("class", "class"),
            )
        ),
        define("protocol_declaration", "protocol"),
        define("function_declaration", "function"),
        define("protocol_function_declaration", "function"),
        define("init_declaration", "constructor"),
        define("typealias_declaration", "type", is_container=False),
        define("associatedtype_declaration", "type", is_container=False),
        variable("property_declaration", "name"),
        variable("protocol_property_declaration", "name"),
        variable("enum_entry", "name", "constant"),
        refer("call_expression", "call", ("^simple_identifier", "^navigation_expression")),
        refer("type_identifier", "type"),
        refer("attribute", "name", "<user_type>"),
        imports("import_declaration", "<identifier>"),
        binds("parameter"),
        binds("lambda_parameter"),
        binds("property_declaration", "name"),
        binds("for_statement", "item"),
        binds("if_statement", "bound_identifier"),
        binds("guard_statement", "bound_identifier"),
        binds("pattern", "bound_identifier"),
        binds("type_parameter", "*"),
    ),
    comments=types("comment multiline_comment"),
    strings=types("line_string_literal multi_line_string_literal raw_string_literal"),
    blocks=types(
        "source_file statements class_body protocol_body enum_class_body function_body"
        " switch_statement computed_property"
    ),
    name_fields=(*LanguageSpec().name_fields, "suffix"),
    skipped_in_patterns=types("value_binding_pattern user_type"),
)

DART = LanguageSpec(
    rules=(
        define("class_definition", "class"),
        define("enum_declaration", "enum"),
        define("mixin_declaration", "class", "<identifier>", "<class_body>"),
        define("extension_declaration", "extension"),
        define("type_alias", "type", "<type_identifier>", "<function_type>", is_container=False),
        define("function_signature", "function", continues="function_body"),
        define("getter_signature", "property", continues="function_body"),
        define("setter_signature", "property", continues="function_body"),
        define("constructor_signature", "constructor", is_joined=True),
        define(
            "factory_constructor_signature",
            "constructor",
            "<identifier>",
            continues="function_body",
            is_joined=True,
        ),
        variable("initialized_identifier", "<identifier>"),
        variable("static_final_declaration", "<identifier>", "constant"),
        variable("enum_constant", "name", "constant"),
        refer("selector", "call", "<-", needs="<argument_part>"),
        refer("new_expression", "call", "<type_identifier>"),
        refer("const_object_expression", "call", "<type_identifier>"),
        refer("type_identifier", "type"),
        refer("annotation", "name", "name"),
        imports("library_import", "<import_specification>/<configurable_uri>"),
        imports("library_export", "<configurable_uri>"),
        imports("part_directive", "<uri>"),
        binds("formal_parameter"),
        binds("constructor_param", "<identifier>"),
        binds("initialized_variable_definition"),
        binds("for_loop_parts"),
        binds("catch_clause", "<catch_parameters>/*"),
        binds("type_parameter", "*"),
    ),
    comments=types("comment documentation_comment"),
    strings=types("string_literal"),
    blocks=types("program block class_body enum_body extension_body switch_block"),
    attached=types(
        "annotation function_signature method_signature getter_signature"
        " setter_signature inferred_type const_builtin final_builtin"
    ),
)

PHP = LanguageSpec(
    rules=(
        define("namespace_definition", "module", is_container=False),
        define("class_declaration", "class"),
        define("interface_declaration", "interface"),
        define("trait_declaration", "trait"),
        define("enum_declaration", "enum"),
        define("function_definition", "function"),
        define("method_declaration", "method"),
        variable("const_element", "^name", "constant"),
        variable("property_element", "name/<name>", "field"),
        variable("property_promotion_parameter", "name/<name>", "field"),
        variable("enum_case", "name", "constant"),
        refer("function_call_expression", "call", "function"),
        refer("member_call_expression", "call", "name"),
        refer("nullsafe_member_call_expression", "call", "name"),
        refer("scoped_call_expression", "call", "name"),
        refer("scoped_call_expression", "type", "scope/."),
        refer("object_creation_expression", "call", ("<name>", "<qualified_name>")),
        refer("named_type", "type", "*"),
        refer("base_clause", "type", "*"),
        refer("class_interface_clause", "type", "*"),
        refer("use_declaration", "type", "*"),
        refer("attribute", "name", "*"),
        imports("namespace_use_clause", "<qualified_name>"),
        imports("namespace_use_clause", "<name>", needs="!<qualified_name>"),
        imports("require_once_expression", ("<string>", "<encapsed_string>")),
        imports("require_expression", ("<string>", "<encapsed_string>")),
        imports("include_expression", ("<string>", "<encapsed_string>")),
        imports("include_once_expression", ("<string>", "<encapsed_string>")),
        binds("simple_parameter"),
        binds("variadic_parameter"),
        binds("assignment_expression", "left"),
        binds("foreach_statement", ("<pair>", "<variable_name>")),
        binds("catch_clause"),
        binds("static_variable_declaration"),
        binds("global_declaration", "*"),
    ),
    identifiers=types("name"),
    strings=types("string encapsed_string heredoc nowdoc"),
    blocks=types(
        "program compound_statement declaration_list enum_declaration_list switch_block"
        " case_statement default_statement"
    ),
    attached=types("attribute_list"),
    skipped_in_patterns=types("member_access_expression subscript_expression"),
    single_quoted_strings=True,
)
