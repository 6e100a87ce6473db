"""SQL, HCL, Make and the data and markup formats: what their node types mean."""

from __future__ import annotations

from dataclasses import replace

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

_SQL_OBJECTS = {
    "create_table": "table",
    "create_view": "view",
    "create_materialized_view": "view",
    "create_function": "function",
    "create_procedure": "function",
    "create_trigger": "trigger",
    "create_type": "type",
    "create_schema": "module",
    "create_sequence": "sequence",
}

SQL = LanguageSpec(
    rules=(
        *(
            define(
                node,
                kind,
                ("<object_reference>", "<identifier>"),
                ("<column_definitions>", "<create_query>", "<function_body>"),
            )
            for node, kind in _SQL_OBJECTS.items()
        ),
        define("create_index", "index", "column", is_container=False),
        define("column_definition", "column", "name", is_container=False),
        refer("invocation", "call", "<object_reference>"),
        refer("relation", "name", "<object_reference>"),
        refer("insert", "name", "<object_reference>"),
        refer("column_definition", "name", "<object_reference>"),
        binds("relation", "alias"),
        binds("function_argument", "<identifier>"),
        binds("cte", "<identifier>"),
    ),
    comments=types("comment marginalia"),
    strings=types("literal"),
    blocks=types("program statement column_definitions block"),
    line_comment="--",
    word_blocks=True,
    keyword_prefix="keyword_",
)

HCL = LanguageSpec(
    rules=(
        *(
            define(
                "block",
                kind,
                ("<string_lit>/<template_literal>", "<identifier>"),
                "<block_start>",
                when=("<identifier>", kind),
                max_depth=0,
                is_joined=True,
            )
            for kind in ("resource", "data", "variable", "output", "module", "provider")
        ),
        define(
            "block",
            "block",
            ("<string_lit>/<template_literal>", "<identifier>"),
            "<block_start>",
            max_depth=0,
            is_joined=True,
        ),
        define("attribute", "variable", "<identifier>", max_depth=0, is_container=False),
        refer("function_call", "call", "<identifier>"),
        refer("get_attr", "name", "<identifier>"),
    ),
    strings=types("string_lit quoted_template heredoc_template"),
    blocks=types("config_file body"),
    line_comment="#",
)

MAKE = LanguageSpec(
    rules=(
        variable("rule", "<targets>", "target"),
        variable("variable_assignment", "name"),
        define("define_directive", "macro", "name", "value"),
        refer("variable_reference", "name", "<word>"),
        refer("prerequisites", "name", ".", many=True),
        refer("function_call", "name", "<arguments>/argument"),
        imports("include_directive", "filenames/<word>"),
    ),
    identifiers=types("word"),
    strings=types("string"),
    blocks=types("makefile recipe conditional"),
    line_comment="#",
)

JSON = LanguageSpec(
    rules=(define("pair", "key", "key", "value", max_depth=0),),
    strings=types("string"),
    blocks=types("document object array"),
    string_keys=True,
)

# To the eye all of a notebook's JSON is strings.
NOTEBOOK = replace(JSON, string_keys=False)

YAML = LanguageSpec(
    rules=(define("block_mapping_pair", "key", "key", "value", max_depth=1),),
    strings=types("double_quote_scalar single_quote_scalar block_scalar"),
    blocks=types("stream document block_mapping block_sequence"),
    line_comment="#",
    string_keys=True,
    parse_hazards=frozenset({"indentation"}),
)

_TOML_NAMES = ("<dotted_key>", "<bare_key>", "<quoted_key>")

TOML = LanguageSpec(
    rules=(
        define("table", "table", _TOML_NAMES),
        define("table_array_element", "table", _TOML_NAMES),
        define("pair", "key", _TOML_NAMES, max_depth=0, is_container=False),
    ),
    strings=types("string"),
    blocks=types("document table table_array_element"),
    line_comment="#",
)

HTML = LanguageSpec(
    rules=(),
    strings=types("quoted_attribute_value"),
    blocks=types("document element"),
    line_comment="",
)

# Markup with a script: most of its lines, and of what is looked up there, are the script's.
COMPONENT = replace(HTML, line_comment="//")

CSS = LanguageSpec(
    rules=(
        define("rule_set", "rule", "<selectors>", "<block>"),
        define("keyframes_statement", "rule", "<keyframes_name>", "<keyframe_block_list>"),
        refer("call_expression", "call", "<function_name>"),
        imports("import_statement", "<string_value>"),
    ),
    identifiers=types("function_name keyframes_name"),
    comments=types("comment js_comment"),
    strings=types("string_value"),
    blocks=types("stylesheet block"),
    line_comment="",
)

MARKDOWN = LanguageSpec(
    rules=(
        define(
            "section",
            "section",
            ("<atx_heading>/heading_content", "<setext_heading>/heading_content"),
        ),
    ),
    comments=types("html_block"),
    strings=frozenset(),
    blocks=types("document section"),
    line_comment="",
    parse_hazards=frozenset({"indentation"}),
)
