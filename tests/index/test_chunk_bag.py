"""What a static model reads of a chunk, and how much each word counts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from codebuddy import paths
from codebuddy.index.chunk_bag import (
    DOCUMENTATION_WEIGHT,
    MAX_CHARACTERS,
    SYMBOL_WEIGHT,
    bag_of,
    first_lines,
)
from codebuddy.index.encoder import StaticEncoder

FUNCTION = '''\
    def total_grams(self, parcels):
        """Weigh all parcels.

        They must be packed.
        """
        grams = 0
        for parcel in parcels:
            # Wrapping counts too.
            grams += parcel.grams + parcel.wrapping
        return grams
'''


def test_a_word_counts_as_the_root_of_how_often_it_stands_there():
    bag = bag_of("a.py", "", "x = 1\n" * 9 + "y = 2\n")
    assert bag == {"a": 1, "py": 1, "x": 3, "1": 3, "y": 1, "2": 1}


def test_symbol_and_documentation_count_more():
    bag = bag_of("shop/rates.py", "Rates.total_grams", FUNCTION)
    # `total` stands once in the text and once in the symbol, `grams` five times and once.
    assert bag["total"] == 1 + SYMBOL_WEIGHT
    assert bag["grams"] == pytest.approx(5**0.5 + SYMBOL_WEIGHT)
    assert bag["Weigh"] == 1 + DOCUMENTATION_WEIGHT
    assert bag["Rates"] == SYMBOL_WEIGHT
    # Neither the second paragraph nor a comment inside of the body is what it is for.
    assert bag["packed"] == bag["Wrapping"] == 1


def test_text_behind_the_first_characters_is_not_read():
    assert "late" not in bag_of("a.py", "", "x " * (MAX_CHARACTERS // 2) + "late")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('def f():\n    """Read it."""\n', "Read it."),
        ("def f():\n    '''\n    Read it.\n\n    More.\n    '''\n", "Read it."),
        (
            'def f():\n    r"""Read it.\n    """\ndef g():\n    """Write it."""\n',
            "Read it.\nWrite it.",
        ),
        ("// Read reads it.\n// More.\nfunc Read() {\n\t// inside\n}\n", "Read reads it."),
        ("/// Reads it.\nfn read() {}\n", "Reads it."),
        ("/**\n * Reads it.\n * @param a\n */\nfunction read(a) {}\n", "Reads it."),
        ("  /**\n   * Reads it.\n   */\n  read(a) {\n    // inside\n  }\n", "Reads it."),
        ("#!/bin/sh\n# Reads it.\nread\n", "/bin/sh"),
        ("# ---\n# Reads it.\ndef read\nend\n", "Reads it."),
        ("x = 1\n", ""),
        ('"""', ""),
        ("", ""),
    ],
)
def test_the_first_line_of_documentation_in_any_language(text, lines):
    assert first_lines(text) == lines


def test_what_looks_like_code_but_is_none_takes_no_time():
    """Quotes and comment marks alone, a megabyte of them."""
    for piece in ('"""', "'''\n", "// \n", "/*", "# a\n", "   *"):
        assert bag_of("a.py", "", piece * 200_000) is not None


def test_the_shipped_model_reads_bags_as_it_reads_texts():
    """A bag that counts each run as often as it stands in a text is that text."""
    encoder = StaticEncoder.open(paths.shipped_models_folder() / "embedder")
    assert encoder.reads_bags
    (text,) = encoder.encode(["read the rates, read rates"])
    (bag,) = encoder.encode_bags([{"read": 2, "the": 1, "rates": 2}])
    assert np.allclose(text, bag, atol=1e-6)
    assert not encoder.encode_bags([{}]).any()


def test_a_vocabulary_that_looks_beyond_a_run_reads_no_bags(tmp_path):
    """Another kind of tokenizer gets the text."""
    shipped = paths.shipped_models_folder() / "embedder"
    for name in ("model.safetensors", "modules.json"):
        (tmp_path / name).write_bytes((shipped / name).read_bytes())
    described = json.loads((shipped / "tokenizer.json").read_text("utf-8"))
    described["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(described), "utf-8")
    assert not StaticEncoder.open(tmp_path).reads_bags
