"""What a model writes, as claims whose places were shown to it."""

from __future__ import annotations

import random

import pytest

from codebuddy.answering.claims import ClaimReader
from codebuddy.answering.excerpts import Excerpt
from codebuddy.service.request import AskSource


def excerpt(
    label: str, path: str, start: int, n_lines: int, line: int = 0, symbol: str = "f"
) -> Excerpt:
    """Lines of a file, the one that matched with the symbol's name."""
    source = AskSource(path, start, line or start, "function", symbol, "")
    lines = [f"{symbol}()" if start + n == line else "x" for n in range(n_lines)]
    return Excerpt(label, source, start, tuple(lines), 10)


SHOWN = [
    excerpt("A", "src/app.py", 10, 5, 12, "start"),
    excerpt("B", "lib/b.rs", 12, 20, 14, "Shop.add"),
]


def read(text: str, *, is_cut: bool = False, size: int = 3) -> ClaimReader:
    """The text, as it comes in pieces; what is shown of it only ever grows."""
    reader = ClaimReader(SHOWN, 4)
    shown = ""
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])
        assert reader.text().startswith(shown)
        shown = reader.text()
    reader.finish(is_cut=is_cut)
    assert reader.text().startswith(shown) or shown == ""
    return reader


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[A12] It starts the program.", "It starts the program. (src/app.py:12)"),
        ("It starts the program [A12].", "It starts the program. (src/app.py:12)"),
        ("A12: It starts.", "It starts. (src/app.py:12)"),
        ("- [B31] It ends.", "It ends. (lib/b.rs:31)"),
        ("[A11, B12] Both do.", "Both do. (src/app.py:11, lib/b.rs:12)"),
        ("[A] It starts.", "It starts. (src/app.py:12)"),
        (
            "It is [A11]. The source line that shows this is [A12].",
            "It is. (src/app.py:11, src/app.py:12)",
        ),
        ("It is. The source line that shows this is A12.", "It is. (src/app.py:12)"),
        ("`Shop.add(x)` adds.", "`Shop.add(x)` adds. (lib/b.rs:14)"),
        ("`add` and `start` [A11]", "`add` and `start` (src/app.py:11)"),
        ("[31] It ends.", "It ends. (lib/b.rs:31)"),
        ("It is in src/app.py:13 now.", "It is in src/app.py now. (src/app.py:13)"),
        (
            "It is. The source lines that show this are [A11] and [A12].",
            "It is. (src/app.py:11, src/app.py:12)",
        ),
        (
            "It is. These are the lines: the labels are [A11], [B12] and [A12].",
            "It is. (src/app.py:11, lib/b.rs:12, src/app.py:12)",
        ),
        ("It is shown in [A12].", "It is shown in line 12. (src/app.py:12)"),
        ("It begins in line [A12] or so.", "It begins in line 12 or so. (src/app.py:12)"),
        (
            "See [A11] and [B31] for more.",
            "See line 11, 31 for more. (src/app.py:11, lib/b.rs:31)",
        ),
        ("S3 uploads (H264) [A12]", "S3 uploads (H264) (src/app.py:12)"),
        (".env is read [A12].", ".env is read. (src/app.py:12)"),
        ("--flag is read [A12].", "--flag is read. (src/app.py:12)"),
    ],
)
def test_a_label_becomes_the_place_that_it_stands_for(text, shown):
    """Wherever a small model puts it, and also where it leaves the letter or the number out."""
    assert read(text).text() == shown


@pytest.mark.parametrize(
    ("text", "shown", "removed"),
    [
        ("[A99] It flies.", "It flies. [no source]", ("A99",)),
        ("[C12] It flies.", "It flies. [no source]", ("C12",)),
        (
            "It is shown in [A99].",
            "It is shown in a place that was not among the sources. [no source]",
            ("A99",),
        ),
        # Both files have such a line.
        ("[12] It flies.", "It flies. [no source]", ("12",)),
        (
            "See src/secret.py:4 for it. [A12]",
            "See (a place that was not among the sources) for it. (src/app.py:12)",
            ("src/secret.py:4",),
        ),
        (
            "See src/app.py:99 for it.",
            "See (a place that was not among the sources) for it. [no source]",
            ("src/app.py:99",),
        ),
        (
            "It is in the `secret.py` file, line 99.",
            "It is in the `secret.py` file, line that was not among the sources. [no source]",
            ("`secret.py` file, line 99",),
        ),
        (
            "It is in app.py at line 12.",
            "It is in app.py at line 12. (src/app.py:12)",
            (),
        ),
        # A name with a dot is no file.
        ("`Cart.total` on line 12 adds.", "`Cart.total` on line 12 adds. [no source]", ()),
        (
            "It is in src/app.py at lines 12 to 999.",
            "It is in src/app.py at lines that were not among the sources. (src/app.py:12)",
            ("src/app.py at lines 12 to 999",),
        ),
        (
            "It is in secret.py at lines 10 to 12.",
            "It is in secret.py at lines that were not among the sources. [no source]",
            ("secret.py at lines 10 to 12",),
        ),
        ("It flies.", "It flies. [no source]", ()),
        # A word is not a name, and a name of the prose is none of the sources'.
        ("To start, `stop` it.", "To start, `stop` it. [no source]", ()),
    ],
)
def test_a_place_that_was_not_shown_is_taken_out_and_counted(text, shown, removed):
    """No file and no line that the model was not given is shown as if it were."""
    reader = read(text)
    assert reader.text() == shown
    assert reader.claims[0].removed == removed


def test_brackets_that_are_no_labels_stay():
    """Code keeps its own."""
    assert read("[A12] `x[0]` and f(a) (see below).").claims[0].text == (
        "`x[0]` and f(a) (see below)."
    )


@pytest.mark.parametrize("text", ["not found", "Not found.", "[not found]", "not found\n[A12] x"])
def test_a_model_may_find_nothing(text):
    """Then nothing else is shown."""
    reader = read(text)
    assert (reader.text(), reader.claims, reader.says_not_found) == ("not found", [], True)


@pytest.mark.parametrize(
    "text",
    [
        "Not found in the sources.",
        "not found: no line says it",
        "Not found [A12]",
        "**Not found** anywhere here",
    ],
)
def test_nothing_may_be_found_in_more_words(text):
    """A label alone makes no claim of it."""
    assert read(text).says_not_found


@pytest.mark.parametrize(
    "text", ["Not found errors become 404.", "Not found in the cache, it is computed."]
)
def test_what_only_begins_like_nothing_is_a_claim(text):
    """Also behind another one: the rest of the answer is not lost."""
    found = read(f"It starts. [A13]\n{text} [A12]\nThird. [B14]\n")
    assert [each.text for each in found.claims] == ["It starts.", text, "Third."]
    assert not found.says_not_found


@pytest.mark.parametrize(
    "text",
    [
        "It connects to db.example.com:5432 first.",
        "It listens on `app.internal:8080`.",
        "See https://docs.rs:443/serde/ for more.",
        "See http://host.sh:80/a.py for more.",
    ],
)
def test_a_host_and_its_port_are_no_place(text):
    """Nothing is taken out of them."""
    claim = read(f"{text} [A12]").claims[0]
    assert (claim.text, claim.removed) == (text, ())


def test_what_looks_like_a_place_stays_if_the_source_says_it():
    """A line of code may name another file's line."""
    lines = ("raise Error('see setup.py:40')",)
    shown = [Excerpt("A", AskSource("a.py", 1, 1, "function", "f", ""), 1, lines, 10)]
    reader = ClaimReader(shown, 4)
    reader.feed("It points to setup.py:40 and other.py:7. [A1]\n")
    assert reader.claims[0].removed == ("other.py:7",)
    assert "setup.py:40" in reader.claims[0].text


def test_a_model_that_runs_on_is_ended():
    """By a sentence that it repeats, and by the number of claims."""
    again = read("[A12] One.\n[A12] Two.\n[A13] One.\n[A13] Three.\n")
    assert [each.text for each in again.claims] == ["One.", "Two."]
    assert again.is_complete
    many = read("".join(f"[A12] Sentence {n}.\n" for n in range(40)))
    assert len(many.claims) == 4
    assert read("It starts it here. [A12]\nIt starts it here. [A13]").text() == (
        "It starts it here. (src/app.py:12)"
    )


@pytest.mark.parametrize("size", [1, 7, 900])
@pytest.mark.parametrize("n_words", range(60, 76))
def test_a_long_line_loses_nothing(n_words, size):
    """It is cut between words and never within code."""
    path = "`crates/karva_test_semantic/tests/it/basic.rs`"
    text = (
        "word of it " * (n_words // 2) + f"see {path} and {path} [A12] to the end " + "of it " * 9
    )
    reader = read(text, size=size)
    said = [each.text for each in reader.claims]
    assert " ".join(said).split() == text.replace("[A12]", "").split()
    assert all(each.count("`") % 2 == 0 for each in said)


def test_a_long_line_is_cut_behind_a_sentence():
    """Where one ends in its second half."""
    first, second = "It is so. " + "word " * 80 + "ends here.", "word " * 50 + "end."
    reader = read(f"{first} {second}")
    assert [each.text for each in reader.claims] == [first, second]


def test_a_cut_within_code_leaves_no_half_of_it():
    """The limit of tokens ends where it does."""
    assert read("It is in `src/ap", is_cut=True).text() == "It is in … [no source]"


def test_a_line_that_only_points_is_no_claim():
    """Neither while it grows nor at the end."""
    reader = read("`start` starts.\nThe source lines that show this are [A12] and [A13].")
    assert reader.text() == "`start` starts. (src/app.py:12)"
    assert read("The lines of text are read.\n").claims[0].text == "The lines of text are read."


def test_a_line_without_end_is_bounded():
    """A model that writes no line break cannot grow the answer for ever."""
    reader = read("word " * 5_000, size=700)
    assert all(len(each.text) <= 600 for each in reader.claims)


def test_a_sentence_that_the_limit_cut_says_so():
    """With three dots; fences of code are no claims."""
    assert read("```\n[A12] It starts the pro", is_cut=True).text() == (
        "It starts the pro … (src/app.py:12)"
    )


PIECES = (
    "[A12] [A11, B13] and `x y` The source line lines that shows is are this These . ends. `a/b.rs`"
    " src/app.py:13 lib/b.rs:99 (A12) - S3 A12: word in [B31]. [Z9] It (see … `start`"
)


@pytest.mark.parametrize("seed", range(60))
def test_what_was_shown_is_never_taken_back(seed):
    """Whatever the pieces of an answer are, and wherever they are cut."""
    chosen = random.Random(seed)
    pieces = [*PIECES.split(" "), "\n", "(see below)", "not found"]
    text = " ".join(chosen.choice(pieces) for _ in range(chosen.choice([5, 12, 30, 200])))
    for size in (1, 4, 50):
        read(text, size=size, is_cut=chosen.random() < 0.3)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "[", "[A", "]]]", "[A12]", "\0\x1b[31m", "质问 [A12]"]
)
def test_odd_texts_are_read(text):
    """Empty, unbalanced, controls, other scripts."""
    for size in (1, 2, 100):
        read(text, size=size)
