"""Ruby, Lua, Perl, Bash, Julia and Elixir: what their node types mean."""

from __future__ import annotations

from codebuddy.syntax.spec import LanguageSpec, binds, define, imports, refer, types, variable

_RUBY_IMPORTS = "require require_relative load autoload"
_RUBY_ACCESSORS = "attr_accessor attr_reader attr_writer"

RUBY = LanguageSpec(
    rules=(
        define("module", "module"),
        define("class", "class"),
        define("method", "function"),
        define("singleton_method", "function"),
        variable("assignment", "left", kinds=("left", {"constant": "constant"})),
        variable("call", "arguments/<simple_symbol>", "property", when=("method", _RUBY_ACCESSORS)),
        refer(
            "call",
            "call",
            "method",
            when=("method", f"! {_RUBY_IMPORTS} {_RUBY_ACCESSORS} private public protected"),
        ),
        refer("constant", "type"),
        imports("call", "arguments/<string>", when=("method", _RUBY_IMPORTS)),
        binds("method_parameters", "*"),
        binds("block_parameters", "*"),
        binds("lambda_parameters", "*"),
        binds("assignment", "left"),
        binds("operator_assignment", "left"),
        binds("for", "pattern"),
        binds("exception_variable", "*"),
    ),
    identifiers=types("constant simple_symbol instance_variable class_variable global_variable"),
    strings=types("string heredoc_body regex"),
    blocks=types("program body_statement block_body do_block then else"),
    skipped_in_patterns=types("element_reference call instance_variable scope_resolution"),
    line_comment="#",
    word_blocks=True,
    single_quoted_strings=True,
)

LUA = LanguageSpec(
    rules=(
        define("function_declaration", "function"),
        define(
            "assignment_statement",
            "function",
            "<variable_list>/name",
            "<expression_list>/value/body",
            needs="<expression_list>/<function_definition>",
        ),
        define("field", "function", "name", "value/body", needs="value/parameters"),
        variable("assignment_statement", "<variable_list>/name"),
        refer("function_call", "call", "name", when=("name", "! require")),
        imports("function_call", "arguments/<string>", when=("name", "require")),
        binds("parameters", "name"),
        binds("variable_list", "name"),
        binds("for_numeric_clause", "name"),
    ),
    strings=types("string"),
    blocks=types("chunk block"),
    skipped_in_patterns=types("dot_index_expression bracket_index_expression"),
    line_comment="--",
    word_blocks=True,
    single_quoted_strings=True,
)

PERL = LanguageSpec(
    rules=(
        define("package_statement", "module", "name", "<block>"),
        define("subroutine_declaration_statement", "function"),
        define("method_declaration_statement", "function"),
        define("class_statement", "class"),
        variable("variable_declaration", ("variable/<varname>", "variables/<varname>")),
        refer("function_call_expression", "call", "function"),
        refer("ambiguous_function_call_expression", "call", "function"),
        refer("method_call_expression", "call", "method"),
        imports("use_statement", "module"),
        imports(
            "require_expression",
            ("<interpolated_string_literal>", "<string_literal>", "<bareword>"),
        ),
        binds("variable_declaration", ("variable/<varname>", "variables/<varname>")),
        binds("for_statement", "variable/<varname>"),
    ),
    identifiers=types("bareword package function method varname"),
    strings=types("string_literal interpolated_string_literal heredoc_content quoted_regexp"),
    blocks=types("source_file block"),
    line_comment="#",
    single_quoted_strings=True,
)

_BASH_IMPORTS = "source ."

BASH = LanguageSpec(
    rules=(
        define("function_definition", "function"),
        variable("variable_assignment", "name"),
        refer("command", "call", "name/<word>", when=("name", f"! {_BASH_IMPORTS}")),
        imports("command", "argument", when=("name", _BASH_IMPORTS)),
        binds("variable_assignment"),
        binds("declaration_command", "<variable_name>"),
        binds("for_statement", "variable"),
    ),
    identifiers=types("word variable_name"),
    strings=types("string raw_string ansi_c_string heredoc_body"),
    blocks=types("program compound_statement do_group subshell if_statement case_item"),
    line_comment="#",
    word_blocks=True,
    single_quoted_strings=True,
)

_JULIA_HEADS = (
    "<signature>/<call_expression>/<identifier>",
    "<signature>/<call_expression>/<field_expression>",
    "<signature>/<where_expression>/<call_expression>/<identifier>",
    "<signature>/<where_expression>/<call_expression>/<field_expression>",
    "<signature>/<typed_expression>/<call_expression>/<identifier>",
    "<signature>/<identifier>",
)
_JULIA_TYPES = (
    "<type_head>/<identifier>",
    "<type_head>/<parametrized_type_expression>/<identifier>",
    "<type_head>/<binary_expression>/^identifier",
    "<type_head>/<binary_expression>/<parametrized_type_expression>/<identifier>",
)

JULIA = LanguageSpec(
    rules=(
        define("module_definition", "module"),
        define("function_definition", "function", _JULIA_HEADS),
        define("macro_definition", "macro", _JULIA_HEADS),
        define("struct_definition", "struct", _JULIA_TYPES),
        define("abstract_definition", "type", _JULIA_TYPES, is_container=False),
        define("primitive_definition", "type", _JULIA_TYPES, is_container=False),
        define("assignment", "function", "^call_expression/<identifier>"),
        define("assignment", "function", "^where_expression/^call_expression/<identifier>"),
        variable("assignment", "^identifier"),
        refer("call_expression", "call", ("^identifier", "^field_expression")),
        refer("broadcast_call_expression", "call", ("^identifier", "^field_expression")),
        refer("macrocall_expression", "call", "^macro_identifier/<identifier>"),
        refer("typed_expression", "type"),
        imports("using_statement", ("<identifier>", "<scoped_identifier>")),
        imports("import_statement", ("<identifier>", "<scoped_identifier>")),
        imports(
            "using_statement", "<selected_import>/^identifier", "<selected_import>/<identifier>"
        ),
        imports(
            "import_statement", "<selected_import>/^identifier", "<selected_import>/<identifier>"
        ),
        binds("argument_list", ("<identifier>", "<typed_expression>/^identifier")),
        binds("named_argument", ("^identifier", "^typed_expression/^identifier")),
        binds("assignment", ("^identifier", "^open_tuple", "^tuple_expression")),
        binds("for_binding", "*"),
        binds("arrow_function_expression", "^identifier"),
        binds("type_head", "*"),
    ),
    comments=types("line_comment block_comment"),
    strings=types("string_literal prefixed_string_literal character_literal"),
    blocks=types(
        "source_file module_definition function_definition for_statement while_statement"
        " if_statement let_statement struct_definition macro_definition else_clause"
    ),
    line_comment="#",
    word_blocks=True,
)

_ELIXIR_DEFINITIONS = "def defp defmacro defmacrop defguard defguardp defdelegate"
_ELIXIR_IMPORTS = "alias import use require"
_ELIXIR_OTHER = (
    "defmodule defprotocol defimpl defstruct defexception test describe if unless case cond with"
    " for fn quote unquote try receive moduledoc doc typedoc spec type callback impl behaviour"
)
_ELIXIR_HEADS = (
    "<arguments>/<call>/target",
    "<arguments>/<binary_operator>/left/target",
    "<arguments>/<binary_operator>/<identifier>",
    "<arguments>/<identifier>",
)

ELIXIR = LanguageSpec(
    rules=(
        define("call", "module", "<arguments>/<alias>", "<do_block>", when=("target", "defmodule")),
        define(
            "call", "protocol", "<arguments>/<alias>", "<do_block>", when=("target", "defprotocol")
        ),
        define("call", "impl", "<arguments>/<alias>", "<do_block>", when=("target", "defimpl")),
        define("call", "macro", _ELIXIR_HEADS, "<do_block>", when=("target", "defmacro defmacrop")),
        define(
            "call", "function", _ELIXIR_HEADS, "<do_block>", when=("target", _ELIXIR_DEFINITIONS)
        ),
        define(
            "call",
            "test",
            "<arguments>/<string>/<quoted_content>",
            "<do_block>",
            when=("target", "test describe"),
        ),
        refer(
            "call",
            "call",
            "target",
            when=("target", f"! {_ELIXIR_DEFINITIONS} {_ELIXIR_IMPORTS} {_ELIXIR_OTHER}"),
        ),
        define(
            "unary_operator",
            "constant",
            "operand/target",
            (),
            when=("operand/target", "! moduledoc doc typedoc spec type callback impl behaviour"),
            is_container=False,
            needs="'@'",
        ),
        refer("dot", "type", "left"),
        imports("call", "<arguments>/<alias>", when=("target", _ELIXIR_IMPORTS)),
        binds("call", ("<arguments>/<call>/<arguments>/*",)),
        binds("binary_operator", "left"),
        binds("stab_clause", "left"),
    ),
    identifiers=types("alias"),
    strings=types("string charlist sigil"),
    blocks=types("source do_block else_block rescue_block after_block catch_block body"),
    skipped_in_patterns=types("dot"),
    line_comment="#",
    merges_equations=True,
    word_blocks=True,
    parse_hazards=frozenset({"signs"}),
)
