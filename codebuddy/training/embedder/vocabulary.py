"""The embedder's vocabulary: parts of identifiers and words, lower-cased, in WordPiece.

`getHTTPResponse2` is get, http, response, 2; a part that is not in the vocabulary falls into
pieces. Punctuation carries no token. A text's vector does not depend on the order of its
tokens, so that nothing is lost by taking a run of letters and digits by itself: the query-time
runtime relies on it. It knows nothing of vectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from codebuddy.index.encoder import CAMEL_BORDER, WORD

UNKNOWN = "[UNK]"
# Longer words are keys, hashes and packed data; they become the unknown token.
MAX_WORD_CHARACTERS = 48


def train_vocabulary(texts: Iterable[str], size: int) -> Any:
    """A `tokenizers.Tokenizer` of at most `size` tokens, fit to `texts`.

    The vocabulary is grown as in byte-pair encoding (Sennrich et al., 2016) over words, and
    applied by longest match, as WordPiece (Schuster and Nakajima, 2012) does.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(
        models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=MAX_WORD_CHARACTERS)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(CAMEL_BORDER), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    tokenizer.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=size, special_tokens=[UNKNOWN], show_progress=False, limit_alphabet=2000
        ),
    )
    # The trainer makes the unknown token a special one, which would be matched in texts.
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(described))
