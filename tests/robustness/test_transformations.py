"""Each of the thirty changes something or says why not, and never more than it promises."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.robustness.catalog import BY_NAME, FAMILIES, TRANSFORMATIONS, Outcome, transformed
from codebuddy.robustness.names import rename_in
from codebuddy.robustness.place import Edit, Place, View, apply, open_view
from codebuddy.syntax import count_errors, languages, traits_of
from tests.robustness.samples import JAVASCRIPT, PYTHON
from tests.robustness.support import places, sample, tokens

CODE = sorted(
    language
    for language in languages()
    if traits_of(language).category == "code" and language != "objc"
)
MAIN = ["python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp"]
NAMES = [each.name for each in TRANSFORMATIONS]


def all_places(language: str) -> list[Place]:
    """Places of the language's sample, and of the functions that are run elsewhere."""
    own = {"python": PYTHON, "javascript": JAVASCRIPT}.get(language)
    found = list(places(sample(language), language))
    return found + (list(places(own, language, 12)) if own else [])


def outcomes(language: str, seed: int = 0) -> list[tuple[Place, str, Outcome]]:
    """Every transformation of every place."""
    return [
        (place, name, transformed(BY_NAME[name], place, seed))
        for place in all_places(language)
        for name in NAMES
    ]


def test_there_are_thirty_in_four_families():
    """Each with a name of its own."""
    assert len(BY_NAME) == len(TRANSFORMATIONS) == 30
    assert {each.family for each in TRANSFORMATIONS} == set(FAMILIES)


@pytest.mark.parametrize("language", CODE)
def test_what_a_change_promises_holds(language):
    """It parses no worse, and the code is the same but for what the family may change."""
    n_applied = 0
    for place, name, outcome in outcomes(language):
        if outcome.place is None:
            assert outcome.reason
            continue
        n_applied += 1
        made = outcome.place
        assert made.source != place.source, name
        errors = count_errors(made.source, language)
        assert errors <= count_errors(place.source, language), name
        kind = BY_NAME[name].check
        before, after = tokens(place.source, language), tokens(made.source, language)
        if kind == "C":
            assert after == before, name
        elif kind == "T":
            assert b"".join(made.source.split()) == b"".join(place.source.split())
        elif kind == "N":
            back = [(new, old) for old, new in outcome.names.items()]
            assert [rename_in(each, back) for each in after] == before, name
            (new,) = outcome.names.values()
            assert not re.search(rf"(?<!\w){re.escape(new)}(?!\w)", place.source.decode()), name
    assert n_applied > 0


@pytest.mark.parametrize("language", CODE)
def test_the_hole_stays_what_it_was(language):
    """Nothing is changed inside but names and indentation, and it is found again."""
    for place, name, outcome in outcomes(language):
        if outcome.place is None:
            continue
        made = outcome.place
        if outcome.names:
            back = [(new, old) for old, new in outcome.names.items()]
            assert rename_in(made.hole.decode(), back) == place.hole.decode(), name
        elif name == "tab_indent":
            assert made.hole.split() == place.hole.split()
        else:
            assert made.hole == place.hole, name


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_and_a_change_may_be_made_twice(name):
    """The same seed gives the same; what came out can go in again, in every main language."""
    transformation = BY_NAME[name]
    n_applied, n_other = 0, 0
    for language in MAIN:
        for place in all_places(language):
            first = transformed(transformation, place, 1)
            assert transformed(transformation, place, 1) == first
            if first.place is None:
                continue
            n_applied += 1
            others = [transformed(transformation, place, seed) for seed in (2, 3, 4)]
            n_other += any(each != first for each in others)
            again = transformed(transformation, first.place, 1)
            if again.place is None:
                assert again.reason
            else:
                assert again.place.source != first.place.source
                assert count_errors(again.place.source, language) <= count_errors(
                    place.source, language
                )
    assert n_applied > 0
    assert (n_other > 0) == transformation.is_random


@pytest.mark.parametrize(
    ("source", "hole", "reason"),
    [
        ("x = 1\n", "1", "no comment"),
        ("", "", "no comment"),
        ("# noqa: E501\nx = 1\n", "1", "no comment"),
    ],
)
def test_a_change_that_finds_nothing_says_so(source, hole, reason):
    """It is not counted as a change."""
    code = source.encode()
    start = code.find(hole.encode())
    outcome = transformed(
        BY_NAME["ButterFingers"], Place(code, "python", start, start + len(hole)), 0
    )
    assert outcome.place is None
    assert reason in outcome.reason


def test_a_language_without_a_meaning_for_a_change_says_so():
    """A docstring's tab means something in a Makefile."""
    place = Place(b"all:\n\techo 1\n", "make", 6, 12)
    outcome = transformed(BY_NAME["tab_indent"], place, 0)
    assert outcome.reason == "it makes no sense in make"


@pytest.mark.parametrize(
    "source",
    [
        "def f(:\n    # the broken file\n    x = \n",
        "def f():\n\tx = 1\n        y = 2\n\treturn x\n",
        "def größe(länge):\n    # die Größe\n    breite = länge * 2\n    return breite\n",
        "def f(x):\n    x = [x for x in x]\n    def g(x):\n        return x\n    return g(x)\n",
        'def f(a):\n    text = f"{a} and {a=}"\n    return text\n',
        "def f():\n    global total\n    total = 1\n    total += 1\n    return total\n",
        "x = 1",
        "#",
        "\ufeffx = 1\n",
        "def f():\n    return '''\n  # no comment\n'''\n",
    ],
)
def test_files_that_are_no_good_are_no_trouble(source):
    """Broken syntax, mixed indentation, other scripts, shadowed names, holes inside strings."""
    code = source.encode()
    for start in range(0, len(code), 3):
        if code[start] & 0xC0 == 0x80:
            continue
        end = min(len(code), start + 4)
        while end < len(code) and code[end] & 0xC0 == 0x80:
            end += 1
        place = Place(code, "python", start, end)
        for name in NAMES:
            outcome = transformed(BY_NAME[name], place, 0)
            if outcome.place is None:
                assert outcome.reason
                continue
            made = outcome.place.source
            assert count_errors(made, "python") <= count_errors(code, "python"), name
            made.decode()


def test_python_that_ran_runs():
    """A name that a branch that never runs would make local is never copied there."""
    source = (
        "LIMIT = 3\n\n\ndef f(x):\n    print(LIMIT)\n    y = LIMIT\n"
        "    y += x\n    return y + LIMIT\n"
    )
    code = source.encode()
    start = code.index(b"y + LIMIT")
    for name in ("DeadCodeInserter", "DeadCodeInserterLast"):
        for seed in range(12):
            outcome = transformed(BY_NAME[name], Place(code, "python", start, len(code) - 1), seed)
            assert outcome.place is not None
            namespace: dict[str, object] = {}
            exec(outcome.place.source, namespace)
            assert namespace["f"](2) == 8  # type: ignore[operator]


@pytest.mark.parametrize(
    ("language", "source", "name", "expected"),
    [
        ("go", "func readFile(a int) int {\n\tx := 1\n\treturn x\n}\n", "CamelCase", "read_file"),
        ("go", "func ReadFile(a int) int {\n\tx := 1\n\treturn x\n}\n", "CamelCase", "Read_file"),
        ("typescript", "export function readIt() {\n  return 1;\n}\n", "CamelCase", "read_it"),
        ("python", "def read_file(path):\n    return path\n", "CamelCase", "readFile"),
        ("rust", "fn read_file(p: i32) -> i32 {\n    p\n}\n", "CamelCase", "readFile"),
        ("python", "def f(a):\n    total = a\n    return total\n", "VarRenamerNaive", "VAR_0"),
    ],
)  # fmt: skip
def test_names_are_made_as_the_language_reads_them(language, source, name, expected):
    """An upper-case letter at the beginning makes a name of Go's public."""
    code = source.encode()
    start = code.rindex(b"return") if b"return" in code else code.rindex(b"p\n")
    outcome = transformed(BY_NAME[name], Place(code, language, start, start + 1), 0)
    assert list(outcome.names.values()) == [expected]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def __init__(self):\n    return 1\n", "ButterFinger"),
        ("@override\ndef draw(self):\n    return 1\n", "ButterFinger"),
        ("def draw(self):\n    return getattr(self, 'draw')\n", "ButterFinger"),
        (
            'def find_all(a):\n    """Sum."""\n    q = "SELECT find_all FROM t"\n    return q\n',
            "CamelCase",
        ),
        ('def load_rows(m):\n    return getattr(m, "m.load_rows")\n', "CamelCase"),
        ("from a import draw\n\n\ndef draw(self):\n    return 1\n", "ButterFinger"),
        ("import json\n\n\ndef loads(x):\n    return json.loads(x)\n", "ButterFinger"),
        ("class A:\n    def get(self, k):\n        return self.d.get(k)\n", "ButterFinger"),
        ("class A:\n    def get(self, k):\n        return super().get(k)\n", "ButterFinger"),
        ("def f():\n    total = 1\n    return locals()['total'] + total\n", "VarRenamerNaive"),
        ("def f():\n    global total\n    total = 1\n    return total\n", "VarRenamerNaive"),
        ("def f(total):\n    total = total + 1\n    return total\n", "VarRenamerNaive"),
        ("def f():\n    total = 1\n    return f'{total=}' + str(total)\n", "VarRenamerNaive"),
    ],
)
def test_names_that_others_look_for_stay(source, name):
    """Protocols, text that holds the name, imports, keyword arguments, members of other things."""
    code = source.encode()
    place = Place(code, "python", code.rindex(b"return"), len(code) - 1)
    outcome = transformed(BY_NAME[name], place, 0)
    assert outcome.place is None
    assert outcome.reason


def test_documentation_names_the_function_as_it_is_called():
    """In a docstring and a comment a name is changed too, however far from the hole they are."""
    far = "\n".join(f"x_{number} = {number}" for number in range(400))
    source = f'"""Calls find_all."""\n{far}\n# Of find_all.\ndef find_all(a):\n    return a\n'
    code = source.encode()
    place = Place(code, "python", code.rindex(b"return"), len(code) - 1)
    made = transformed(BY_NAME["CamelCase"], place, 0).place
    assert made is not None
    assert made.source.decode() == source.replace("find_all", "findAll")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "def f(n):\n    for i in range(n):\n        print(i)\n    return n\n",
            "    i = 0\n    while i < n:\n        print(i)\n        i += 1\n",
        ),
        (
            "def f(n):\n    xs = list(n)\n    for x in xs:\n        print(x)\n    return n\n",
            "    index = 0\n    while index < len(xs):\n        x = xs[index]\n        print(x)\n"
            "        index += 1\n",
        ),
        (
            "def f(n):\n    for x in n:\n        if x:\n            continue\n    return n\n",
            "    iterator = iter(n)\n    while True:\n        try:\n"
            "            x = next(iterator)\n        except StopIteration:\n            break\n"
            "        if x:\n",
        ),
    ],
)
def test_a_loop_is_written_in_the_plainest_way_that_is_the_same(source, expected):
    """A number that counts where that is known to be right, else an iterator."""
    code = source.encode()
    place = Place(code, "python", code.rindex(b"return"), len(code) - 1)
    made = transformed(BY_NAME["ForToWhile"], place, 0).place
    assert made is not None
    assert expected in made.source.decode()


@pytest.mark.parametrize(
    "body",
    ["n = 3", "i = 2", "del n", "for n in []: pass", "(n := 2)"],
)
def test_a_loop_whose_bound_or_number_changes_is_not_counted(body):
    """The loop is made with an iterator, or not at all."""
    source = f"def f(n):\n    for i in range(n):\n        {body}\n    return 1\n"
    code = source.encode()
    place = Place(code, "python", code.rindex(b"return"), len(code) - 1)
    made = transformed(BY_NAME["ForToWhile"], place, 0).place
    assert made is None or b"while i < n" not in made.source


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "class A:\n    def give(self):\n        return self.give() or A.give(self)\n"),
        ("go", "package a\n\nfunc (s *Store) give() int {\n\treturn s.give()\n}\n"),
        ("cpp", "class Store { int give() {\n  return this->give() + Store::give();\n} };\n"),
        (
            "rust",
            "impl Store {\n    fn give(&self) -> i32 {\n        return self.give();\n    }\n}\n",
        ),
        ("typescript", "class A {\n  give(): number {\n    return this.give();\n  }\n}\n"),
    ],
)
def test_a_function_that_calls_its_own_is_renamed_with_its_calls(language, source):
    """Behind the instance, its class, or what the header names."""
    code = source.encode()
    start = code.index(b"return")
    place = Place(code, language, start, code.index(b"\n", start))
    made = transformed(BY_NAME["SwapChar"], place, 0).place
    assert made is not None
    assert b"give" not in made.source


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("go", "package a\n\nfunc (s *Store) give() int {\n\treturn s.m.give()\n}\n"),
        ("cpp", "class Store { int give() {\n  return map_->give();\n} };\n"),
        ("rust", "fn give(s: &S) -> i32 {\n    return s.give();\n}\n"),
        ("java", "class A {\n  int give() {\n    return b.give();\n  }\n}\n"),
        ("typescript", "class A {\n  give(): string {\n    return `${this.m.give()}`;\n  }\n}\n"),
    ],
)
def test_a_function_that_others_have_as_a_member_keeps_its_name(language, source):
    """Nobody can say whether `map.give` is this `give`."""
    code = source.encode()
    start = code.index(b"return")
    place = Place(code, language, start, code.index(b"\n", start))
    outcome = transformed(BY_NAME["SwapChar"], place, 0)
    assert outcome.place is None
    assert "a member give" in outcome.reason


@pytest.mark.parametrize(
    ("name", "language", "source"),
    [
        # Two steps, of which one would be lost.
        (
            "ForToWhile",
            "java",
            "class A { int f(int n) {\n  for (int i = 0, j = n; i < j; i++, j--) {\n    g(i);\n"
            "  }\n  return n;\n} }\n",
        ),
        # `n` would be another one in what follows.
        (
            "ForToWhile",
            "java",
            "class A { int f(int[] a) {\n  for (int i = 0, n = a.length; i < n; i++) {\n    g(i);\n"
            "  }\n  int n = 2;\n  return n;\n} }\n",
        ),
        # The next line would be a comment.
        (
            "doc2comments",
            "c",
            "int f(int n) {\n  /* of C:\\dir\\ */\n  n = n + 1;\n  return n;\n}\n",
        ),
        # The text would be another one.
        (
            "new_line_aftercode",
            "bash",
            "f() {\n    cat <<EOF\n    return two\n    three\nEOF\n    return 1\n}\n",
        ),
        (
            "new_line_aftercode",
            "python",
            'def f(n):\n    text = """one\n    return two\n    """\n    return text\n',
        ),
        (
            "new_line_aftercode",
            "javascript",
            "function f(n) {\n  const text = `one\n  return two ${n}`;\n  return text;\n}\n",
        ),
    ],
)
def test_what_would_be_another_program_is_not_made(name, language, source):
    """However well it parses."""
    code = source.encode()
    start = code.index(b"return" if name == "new_line_aftercode" else b"return n;")
    outcome = transformed(BY_NAME[name], Place(code, language, start, start + 8), 0)
    assert outcome.place is None
    assert outcome.reason


@pytest.mark.parametrize("name", ["DeadCodeInserter", "DeadCodeInserterLast"])
def test_rust_names_nothing_that_was_moved(name):
    """Not even where it never runs."""
    body = b"    log(&v);\n    drop(v);\n    let n = 1;\n    return n;\n"
    code = b"fn f(v: Vec<i32>) -> i32 {\n" + body + b"}\n"
    start = code.index(b"return")
    for seed in range(8):
        made = transformed(BY_NAME[name], Place(code, "rust", start, start + 8), seed).place
        assert made is None or made.source.index(b"if false") < made.source.index(b"drop")


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("bash", "f() {\n    cat <<EOF\n    one\n      two\nEOF\n    return 1\n}\n"),
        ("perl", "sub f {\n    my $x = <<EOS;\n    one\n      two\nEOS\n    return $x;\n}\n"),
    ],
)
def test_the_first_line_of_a_text_without_quotes_keeps_its_indentation(language, source):
    """It is part of the text, as that of the other lines."""
    code = source.encode()
    start = code.index(b"return")
    made = transformed(BY_NAME["tab_indent"], Place(code, language, start, start + 8), 0).place
    assert made is not None
    assert b"\n    one\n      two\n" in made.source


def test_a_colon_in_a_comment_ends_no_header():
    """What stands behind it stays a comment."""
    code = b"def f(xs):\n    for x in xs:  # see: .strip()\n        print(x)\n    return 1\n"
    place = Place(code, "python", code.rindex(b"return"), len(code) - 1)
    made = transformed(BY_NAME["ForToWhile"], place, 0).place
    assert made is not None
    assert b"# see: .strip()" in made.source


def test_edits_keep_the_hole_where_it_is():
    """What is put in before it moves it, what is put in behind it does not."""
    place = Place(b"abcdef", "python", 2, 4)
    moved = apply(place, [Edit(0, 1, b"xyz"), Edit(2, 2, b"!"), Edit(4, 4, b"?"), Edit(5, 6, b"")])
    assert moved.source == b"xyzb!cd?e"
    assert moved.hole == b"cd"


@given(st.text(max_size=80), st.integers(0, 40), st.integers(0, 2**16))
def test_any_text_is_taken(text, start, seed):
    """No text makes a transformation fail, whatever it holds."""
    code = text.encode("utf-8", "replace")
    start = min(start, len(code))
    while start < len(code) and code[start] & 0xC0 == 0x80:
        start += 1
    place = Place(code, "python", start, len(code))
    for transformation in TRANSFORMATIONS:
        outcome = transformed(transformation, place, seed)
        assert (outcome.place is None) == bool(outcome.reason)


def test_a_view_is_found_once():
    """Transformations share it."""
    place = places(PYTHON, "python")[0]
    view = open_view(place)
    assert isinstance(view, View)
    for transformation in TRANSFORMATIONS:
        assert transformed(transformation, place, 0, view=view) == transformed(
            transformation, place, 0
        )


def test_two_statements_stand_in_a_block_only():
    """A loop that is the whole branch of an `if` stays a `for` loop; one in braces does not."""
    for source, is_changed in {
        "int f(int n) {\n  if (n)\n    for (int i = 0; i < n; i++) {\n      g(i);\n    }\n": False,
        "int f(int n) {\n  {\n    for (int i = 0; i < n; i++) {\n      g(i);\n    }\n  }\n": True,
    }.items():
        code = (source + "  return n;\n}\n").encode()
        start = code.rindex(b"return")
        made = transformed(BY_NAME["ForToWhile"], Place(code, "c", start, start + 8), 0).place
        assert (made is not None) == is_changed


def test_a_documentation_comment_is_not_split():
    """Rust's is a token with commas in it, and no list in brackets."""
    code = (
        b"/// Takes a path, an argument, and a list of words, and gives the longest of them all.\n"
        b"fn longest(path: &str) -> usize {\n    let found = path.len();\n    found\n}\n"
    )
    start = code.index(b"found\n}")
    place = Place(code, "rust", start, start + 5)
    outcome = transformed(BY_NAME["split_lines"], place, 0, view=open_view(place))
    assert outcome.place is None
    assert outcome.reason
