"""Words become terms: whole and lower-cased, then their parts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.index.postings import (
    PostingsColumns,
    SegmentBuilder,
    columns_of_rows,
    decode_numbers,
    decode_postings,
    encode_numbers,
    pack_flags,
    unpack_flags,
)
from codebuddy.index.segments import Segment, segments_to_merge
from codebuddy.index.terms import MAX_WORD_LENGTH, count_terms, normalized_name, terms


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("getHTTPResponse2", "gethttpresponse2 get http response 2"),
        ("parse_http", "parse_http parse http"),
        ("MAX_SIZE", "max_size max size"),
        ("HTTPServer", "httpserver http server"),
        ("__init__", "__init__ init"),
        ("utf8", "utf8 utf 8"),
        ("x", "x"),
        ("Total", "total"),
        ("snake_caseMixed9X", "snake_casemixed9x snake case mixed 9 x"),
        ("ÄnderungMachen", "änderungmachen änderung machen"),
        ("ПриветМир", "приветмир привет мир"),
        ("查找文件", "查找文件 查找 找文 文件"),
        ("42", "42"),
        ("___", "___"),
    ],
)
def test_a_word_and_its_parts(word, expected):
    """camelCase, snake_case, digits and scripts without spaces split; the whole word stays."""
    assert terms(word) == expected.split()


def test_punctuation_separates_and_order_stays():
    """Terms come in the order of the text, repeats included."""
    assert terms("a.b(a) + fooBar;") == ["a", "b", "a", "foobar", "foo", "bar"]


def test_text_without_words_has_no_terms():
    """Punctuation, blanks and nothing give nothing."""
    assert terms("") == terms(" \n\t") == terms("(){}[];.,!?\"'") == []


def test_words_too_long_to_look_for_are_left_out():
    """Keys and packed data make no terms, up to the limit words do."""
    assert terms("a" * MAX_WORD_LENGTH) == ["a" * MAX_WORD_LENGTH]
    assert terms("a" * (MAX_WORD_LENGTH + 1)) == []


@given(st.text(max_size=300))
def test_counting_equals_listing(text):
    """`count_terms` is the count of `terms`, for any text."""
    assert count_terms(text) == Counter(terms(text))


@given(st.text(alphabet=st.characters(categories=["L", "N", "Pc"]), min_size=1, max_size=40))
def test_every_word_is_a_term_of_itself(word):
    """Whatever the script, the word lower-cased is its first term."""
    assert terms(word)[:1] == [word.lower()]


def test_squashed_names_ignore_case_and_underscores():
    """The forms of one name are one."""
    assert {normalized_name(name) for name in ("parseHTTP", "parse_http", "PARSE_HTTP")} == {
        "parsehttp"
    }


@given(st.lists(st.integers(0, 2**32 - 1), max_size=200))
def test_numbers_survive_packing(numbers):
    """Any 32-bit numbers come back as they were."""
    encoded, ends = encode_numbers(np.array(numbers, np.uint32))
    assert decode_numbers(encoded.tobytes()).tolist() == numbers
    assert len(ends) == len(numbers)


@given(st.lists(st.booleans(), max_size=100))
def test_flags_survive_packing(flags):
    """Any flags come back as they were."""
    array = np.array(flags, bool)
    assert unpack_flags(pack_flags(array), len(flags)).tolist() == flags


_DOCUMENTS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**6), max_size=8), max_size=12
)


def _columns(documents: list[dict[str, int]]) -> PostingsColumns:
    ids: dict[str, int] = {}
    entries = [
        (ids.setdefault(term, len(ids)), number, frequency)
        for number, document in enumerate(documents)
        for term, frequency in document.items()
    ]
    term, document, frequency = (
        np.array([entry[column] for entry in entries], np.uint32) for column in range(3)
    )
    return PostingsColumns(list(ids), term, document, frequency)


@given(st.lists(_DOCUMENTS, max_size=4))
def test_postings_of_several_batches_come_back_as_they_were(parts):
    """Batches put together give each term its documents in order, with its frequencies."""
    builder = SegmentBuilder()
    for documents in parts:
        builder.add(_columns(documents), np.array([sum(d.values()) for d in documents], np.uint32))
    expected: dict[str, list[tuple[int, int]]] = {}
    for number, document in enumerate([each for documents in parts for each in documents]):
        for term, frequency in document.items():
            expected.setdefault(term, []).append((number, frequency))
    rows = builder.columns().rows()
    found = {}
    for term, data in rows:
        documents, frequencies = decode_postings(data)
        found[term] = list(zip(documents.tolist(), frequencies.tolist(), strict=True))
    assert found == expected
    assert [term for term, _ in rows] == sorted(expected)
    assert columns_of_rows(rows).rows() == rows


@given(_DOCUMENTS, st.randoms())
def test_reordering_documents_keeps_their_postings(documents, rng):
    """A document's terms follow it to its new number."""
    order = list(range(len(documents)))
    rng.shuffle(order)
    moved = _columns(documents).reordered(np.array(order, np.int64))
    assert moved.rows() == _columns([documents[old] for old in order]).rows()


def _segment(number: int, n_documents: int, n_dead: int = 0) -> Segment:
    is_dead = np.zeros(n_documents, bool)
    is_dead[:n_dead] = True
    ids = np.arange(n_documents, dtype=np.int64) + 1000 * number
    return Segment(number, ids, np.ones(n_documents, np.uint32), is_dead)


def _chosen(segments: list[Segment], max_documents: int = 10**9) -> list[int]:
    return [each.id for each in segments_to_merge(segments, max_documents)]


def test_segments_merge_by_size_and_by_their_dead():
    """Four of a size merge, larger neighbours stay, and one that is largely dead is rewritten."""
    small = [_segment(number, 20) for number in range(4)]
    assert _chosen([*small, _segment(9, 5000)]) == [0, 1, 2, 3]
    assert _chosen([*small[:3], _segment(9, 5000)]) == []
    assert _chosen([_segment(1, 100, n_dead=40), _segment(2, 100)]) == [1]
    assert _chosen([_segment(1, 100, n_dead=20), _segment(2, 100)]) == []


def test_a_small_update_does_not_pay_for_a_large_merge():
    """Beyond the budget merging waits, until there are very many segments."""
    large = [_segment(number, 600) for number in range(4)]
    assert _chosen(large, max_documents=2000) == []
    assert _chosen(large, max_documents=2400) == [0, 1, 2, 3]
    assert len(_chosen([_segment(number, 600) for number in range(30)], 2000)) == 30
