"""Closers behind the cursor: a completion never closes again what the document closes."""

from __future__ import annotations

import time

import pytest

from codebuddy.completion.closers import find_doubled
from codebuddy.completion.extent import take_extent
from codebuddy.completion.postprocess import clean
from codebuddy.syntax import language_for
from codebuddy.syntax.brackets import Scanner
from tests.support.completion import context_at

# Place, what a model writes there, path, and what of it is left before the doubled closer.
CASES = [
    ("def load_config(‸)\n", "path):", "a.py", "path"),
    ("def load_config(‸):\n    pass\n", "path):\n   x", "a.py", "path"),
    ("function clamp(‸)\n", "value, low, high) {", "a.js", "value, low, high"),
    ("if (‸) return 1;\n", "x > 0) return 2;", "a.c", "x > 0"),
    ("int f(int x) {\n  if (‸) return 1;\n}\n", "x > 0) return 2;", "a.c", "x > 0"),
    ("if (‸)\n", "x) {", "a.js", "x"),
    ("fn add(‸)\n", "a: i32, b: i32) -> i32 {", "a.rs", "a: i32, b: i32"),
    ("func add(‸)\n", "a int, b int) int {", "a.go", "a int, b int"),
    ('fetch("‸").then(r => r)\n', 'https://x").then(q', "a.js", "https://x"),
    ("foo(bar[‸])\n", "1])\nx", "a.py", "1"),
    ("foo(a, bar(‸)\n", "b))\n", "a.py", "b)"),
    ('x = f"{‸}"\n', 'name}!"', "a.py", "name"),
    ("x = f\"{d['‸']}\"\n", "k']}\"", "a.py", "k"),
    ('x = """‸"""\n', 'Doc."""\n', "a.py", "Doc."),
    ('def f():\n    """‸"""\n', 'Doc."""\n    return 1', "a.py", "Doc."),
    ("const x = `a ${‸}`;\n", "name} b`;", "a.js", "name"),
    ("const x = `a ‸`;\n", "${n} b`;\n", "a.js", "${n} b"),
    ("function f(a) {‸\n}\n", "\n  return a;\n}\n\nfunction", "a.js", "\n  return a;\n"),
    (
        "function f(a) {\n  if (a) {\n    ‸\n}\n",
        "return 1;\n  }\n  return 2;\n}",
        "a.js",
        "return 1;\n  }\n  return 2;\n",
    ),
    (
        "function f(a) {\n  if (a) {\n    ‸\n  }\n}\n",
        "return 1;\n  }\n  return 2;\n}",
        "a.js",
        "return 1;\n  ",
    ),
    ("const a = <div>‸</div>;\n", "hello</div>;", "a.jsx", "hello"),
    ('const a = <div className="‸">x</div>;\n', 'b">x', "a.tsx", "b"),
    ("let v: Vec<‸>;\n", "u8>;", "a.rs", "u8"),
    ("Map<String, ‸> m;\n", "List<Integer>> x", "A.java", "List<Integer>"),
    ("def total(items)\n  ‸\nend\n", "items.sum\nend\n", "a.rb", "items.sum\n"),
    ("function M.add(a, b)\n  ‸\nend\n", "return a + b\nend\n", "a.lua", "return a + b\n"),
    ("local f = function(x) ‸ end\n", "return x end\nprint(1)", "a.lua", "return x "),
    (
        "defmodule A do\n  def f(x) do\n    ‸\n  end\nend\n",
        "x + 1\n  end\n\n  def",
        "a.ex",
        "x + 1\n  ",
    ),
    ("function f(x)\n  ‸\nend\n", "x[end]\nend\n", "a.jl", "x[end]\n"),
    ('if [ -z "$1" ]; then\n  ‸\nfi\n', "echo hi\nfi\n", "a.sh", "echo hi\n"),
    ("for f in *; do\n  ‸\ndone\n", 'echo "$f"\ndone\n', "a.sh", 'echo "$f"\n'),
    (
        "case $x in\n  a) ‸ ;;\nesac\n",
        "echo 1 ;;\nb) echo 2;;\nesac",
        "a.sh",
        "echo 1 ;;\nb) echo 2;;\n",
    ),
    ("let f x =\n  begin\n    ‸\n  end\n", "print x\n  end", "a.ml", "print x\n  "),
    ('print("‸")\n', 'hello\\"x")', "a.py", 'hello\\"x'),
    ("x = foo(‸)\n", "')', bar(1))", "a.py", "')', bar(1)"),
    ("r = r'‸'\n", "a\\d'", "a.py", "a\\d"),
    ("/* ‸ */\n", "foo */ int", "a.c", "foo "),
    ("<p>‸</p>\n", "it's</p>", "a.html", "it's"),
    ("return (‸)\n", "<div>a</div>)", "a.jsx", "<div>a</div>"),
    ("use_(|x| ‸);\n", "x + 1);", "a.rs", "x + 1"),
    ('println!("{}", ‸);\n', "x);\nfoo", "a.rs", "x"),
    ('let s = r#"‸"#;\n', 'raw"#;', "a.rs", "raw"),
    ("x = {‸}\n", "'a': 1}\n", "a.py", "'a': 1"),
    ("std::vector<‸> v;\n", "int> v;", "a.cpp", "int"),
    ("char c = '‸';\n", "x';", "a.c", "x"),
    ("console.log(`${a.map((x) => ‸)}`);\n", "x + 1)}`);", "a.ts", "x + 1"),
    ('puts "#{‸}"\n', 'name}"', "a.rb", "name"),
    ("text (‸) more\n", "abc) d", "a.txt", "abc"),
    ('let g = "\\(‸)"\n', 'name)"', "a.swift", "name"),
    ("if (a<‸) {\n}\n", "b) {", "a.c", "b"),
    ("items.each do |x|\n  ‸\nend\n", "puts x if x\nend\n", "a.rb", "puts x if x\n"),
    ("const s = a.replace(‸);\n", "/\\)/g, ')');", "a.js", "/\\)/g, ')'"),
    ("foo(bar[‸])\n", "1]) + [2", "a.py", "1"),
    ("a = {k: [f(‸)]}\n", "x)]}\n", "a.py", "x"),
    ("x = (‸) + 1\n", "a) * (b", "a.py", "a"),
    ("let x = vec![‸];\n", "1, 2];", "a.rs", "1, 2"),
    ("$x = foo('‸');\n", "bar');", "a.php", "bar"),
    ("<?php\n$x = foo('‸');\n", "bar');", "a.php", "bar"),
    ("x = f'{a[\"‸\"]}'\n", "k\"]}'", "a.py", "k"),
    ('s = $"a {‸} b";\n', 'n} b";', "A.cs", "n"),
    ("const a = <Foo bar={‸} />;\n", "x} />;", "a.tsx", "x"),
    ("const a = <Foo ‸ />;\n", "bar={x} />;", "a.tsx", "bar={x} "),
    ("const a = <ul>{xs.map((x) => <li>‸</li>)}</ul>;\n", "{x}</li>)}</ul>", "a.jsx", "{x}"),
    ('<div class="‸">x</div>\n', 'a">', "a.html", "a"),
    ("let o = object\n  method m = ‸\nend\n", "1\nend\n", "a.ml", "1\n"),
    ("Enum.map(xs, fn x -> ‸ end)\n", "x + 1 end)", "a.ex", "x + 1 "),
    ("while read l; do ‸; done\n", "echo $l; done", "a.sh", "echo $l; "),
    ('x="$(‸)"\n', 'date)"', "a.sh", "date"),
    ("x = begin ‸ end\n", "1 end", "a.rb", "1 "),
    ("for i = 1, 3 do\n  ‸\nend\n", "print(i)\nend\n", "a.lua", "print(i)\n"),
    ("local s = [[‸]]\n", "abc]]", "a.lua", "abc"),
    ("if a then\n  ‸\nend\n", "b()\nelse\n  c()\nend", "a.lua", "b()\nelse\n  c()\n"),
    ("p { ‸ }\n", "color: red; }", "a.css", "color: red; "),
    ('{"a": "‸"}\n', 'b", "c": 1}', "a.json", "b"),
]
# The same where nothing is doubled.
RIGHT = [
    ("foo(a, bar(‸\n", "b))\n", "a.py"),
    (
        "function f(a) {\n  if (a) {\n    ‸\n  }\n}\n",
        "return 1;\n  } else {\n    return 2;",
        "a.js",
    ),
    ("x = foo(‸)\n", "a # )\n", "a.py"),
    ("x = f(‸\n", "a, b)", "a.py"),
    ('x = "‸\n', 'abc"', "a.py"),
    ("x = [‸\n", "1, 2]", "a.py"),
    ("function f() {\n  if (a) {\n    ‸\n}\n", "b();\n  }\n  c();\n", "a.js"),
    ("function f() {‸\n\nfunction g() {\n}\n", "\n  a();\n}\n", "a.js"),
    ("def f(x):\n    ‸\n", "return (x, [x], {x: ')'})", "a.py"),
    ("x = '‸\n", "it\\'s'", "a.py"),
    ("def a\n  if b\n    ‸\nend\n", "c\n  end\n", "a.rb"),
    ("if [ a ]; then\n  ‸\n", "b\nfi\n", "a.sh"),
    ("let a: Vec<‸\n", "u8>", "a.rs"),
    ("if (a ‸) {\n}\n", "< b && c > d", "a.c"),
    ("const a = <div>‸\n", "x</div>", "a.jsx"),
    ("x = foo(‸)\n", "bar(1), \")\", '(' # )", "a.py"),
    ("char *s = f(‸);\n", "')', \"(\"", "a.c"),
    ("let c = f(‸);\n", "'\\'', '(', \"}\"", "a.rs"),
    ("fn f<'a>(x: &'a str) { g(‸) }\n", "x, '('", "a.rs"),
    ("let f a' = g (‸)\n", "a' b'", "a.ml"),
    ("x = a[‸]\n", "end, f(end)", "a.jl"),
    ('x = """a\n‸\n\n\ndef f():\n    """Doc."""\n', 'b\n"""\n', "a.py"),
    ("/* a ‸\nint x; /* b */\n", "c */", "a.c"),
    ("a = 1  # see (‸)\n", "here) now", "a.py"),
    ("s = 'a (‸)'\n", "b) c", "a.py"),
]


@pytest.mark.parametrize(("marked", "text", "path", "left"), CASES)
def test_what_the_document_closes_is_not_closed_again(marked, text, path, left):
    """The text ends before the closer; the model is stopped there, and the clean-up agrees."""
    context = context_at(marked, path)
    found = find_doubled(text, context)
    assert found is not None
    assert text[: found.start] == left
    assert left.startswith(take_extent(text, context, 0)[0].rstrip("\n "))
    assert left.startswith(clean(text, context)[0].rstrip("\n "))


@pytest.mark.parametrize(("marked", "text", "path"), RIGHT)
def test_what_is_still_open_may_be_closed(marked, text, path):
    """A closer that the document lacks, or that the text opened itself, stays."""
    assert find_doubled(text, context_at(marked, path)) is None


@pytest.mark.parametrize(
    ("marked", "pieces", "path", "read"),
    [
        ("def load(‸)\n", ["path", "):", "\n"], "a.py", 2),
        ("foo(a, bar(‸)\n", ["b", ")", ")", ":"], "a.py", 3),
        ('fetch("‸").then(x)\n', ["http", '")', ";"], "a.js", 2),
        ("function f(a) {‸\n}\n", ["\n  return a;", "\n}", "\n", "\nfunction"], "a.js", 3),
        ("let f = () => {‸};\n", ["\n  a();", "\n}", ";", "\nlet"], "a.js", 3),
    ],
)
def test_generation_stops_at_the_closer(marked, pieces, path, read):
    """No piece is asked for behind the doubled closer, but where `} else {` may follow."""
    context = context_at(marked, path)
    text = ""
    for count, piece in enumerate(pieces, 1):
        text += piece
        if take_extent(text, context, 0)[1]:
            assert count == read
            return
    raise AssertionError("the generation goes on")


def test_a_bracket_behind_goes_to_its_own_line():
    """Where the text spreads the arguments over lines, the bracket behind gets a line too."""
    context = context_at("value = make(‸)\n")
    taken, is_certain = take_extent("\n    a,\n    b,\n)\n", context, 0)
    assert (taken, is_certain) == ("\n    a,\n    b,\n", True)
    assert clean(taken, context)[0] == "\n    a,\n    b,\n"


def test_both_ways_of_an_unfinished_block_are_waited_for():
    """A `}` is doubled or goes on with `else`: the line decides."""
    context = context_at("function f(a) {\n  if (a) {\n    ‸\n  }\n}\n", "a.js")
    assert take_extent("g();\n  }", context, 0) == ("g();", False)
    assert take_extent("g();\n  }\n", context, 0) == ("g();", True)
    text = "g();\n  } else {\n    h();\n"
    assert find_doubled(text, context) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["(", "(}", "= /[", "{\n}", "<a ", "</b>", "\"'", "x)", "do end ", "/*", "${", "<<A "]
)
@pytest.mark.parametrize("path", ["a.js", "a.tsx", "a.rb", "a.sh", "a.html", "a.py"])
def test_a_hostile_text_costs_no_more_than_its_length(unit, path):
    """Four times the text takes about four times as long."""
    language = language_for(path)

    def spent(size: int) -> float:
        text = unit * (size // len(unit))
        found = []
        # The least of some: what else the machine does only adds.
        for _ in range(3):
            started = time.process_time()
            Scanner(language).scan(text)
            found.append(time.process_time() - started)
        return min(found)

    spent(1000)
    assert spent(40_000) < 16 * max(0.005, spent(10_000))


@pytest.mark.parametrize("path", ["shop.ts", "shop.js", "Shop.java", "shop.c", "shop.cpp"])
def test_a_comment_is_closed_where_only_the_next_one_is_closed_behind(path):
    """A comment of a class whose members have comments too."""
    marked = "/** A shop. ‸\nclass Shop {\n  /** Its name. */\n  int name;\n}\n"
    context = context_at(marked, path)
    assert find_doubled("Open daily. */", context) is None


@pytest.mark.parametrize("path", ["shop.ts", "shop.js", "Shop.java", "shop.c", "shop.cpp"])
def test_a_comment_that_the_editor_closed_is_not_closed_again(path):
    marked = "/** A shop. ‸ */\nclass Shop {\n  /** Its name. */\n  int name;\n}\n"
    found = find_doubled("Open daily. */", context_at(marked, path))
    assert found is not None
    assert found.start == len("Open daily. ")
