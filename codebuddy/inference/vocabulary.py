"""A model's vocabulary through llama.cpp: text into token ids and back, and its special tokens.

It knows nothing of weights: `open_vocabulary` reads a file's vocabulary alone.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from codebuddy.datatypes import FimTokens
from codebuddy.errors import GenerationError, ModelError
from codebuddy.inference.llama_library import load_library

_PIECE_BYTES = 256


class Vocabulary:
    """The vocabulary of a model that llama.cpp has loaded; it lives as long as that."""

    def __init__(self, llama: Any, model: Any, name: str) -> None:
        """Read the special tokens.

        Args:
            llama: The low-level module.
            model: Its pointer to the model.
            name: What errors call the model.
        """
        self.name = name
        self._llama = llama
        self._vocab = llama.llama_model_get_vocab(model)
        self.size = int(llama.llama_vocab_n_tokens(self._vocab))
        self.fim = self._read_fim_tokens()
        self.bos = self._read_bos()

    def tokenize(self, text: str, *, has_special: bool = False) -> list[int]:
        """Token ids; special tokens written in `text` are plain text, unless `has_special`.

        Raises:
            GenerationError: llama.cpp cannot.
        """
        encoded = text.encode("utf-8", "replace")
        room = len(encoded) + 8
        tokens = (self._llama.llama_token * room)()
        count = self._llama.llama_tokenize(
            self._vocab, encoded, len(encoded), tokens, room, False, has_special
        )
        if count < 0:
            raise GenerationError(f"{self.name} cannot tokenize {len(encoded)} bytes of text")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """The token's bytes; special tokens have none."""
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        length = self._llama.llama_token_to_piece(
            self._vocab, token, buffer, _PIECE_BYTES, 0, False
        )
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._llama.llama_token_to_piece(self._vocab, token, buffer, -length, 0, False)
        return buffer.raw[:length]

    def is_end(self, token: int) -> bool:
        """Whether generation ends at this token."""
        return bool(self._llama.llama_vocab_is_eog(self._vocab, token))

    def _read_bos(self) -> int | None:
        if not self._llama.llama_vocab_get_add_bos(self._vocab):
            return None
        token = int(self._llama.llama_vocab_bos(self._vocab))
        return token if token >= 0 else None

    def _read_fim_tokens(self) -> FimTokens:
        llama = self._llama
        found = [
            int(read(self._vocab))
            for read in (
                llama.llama_vocab_fim_pre,
                llama.llama_vocab_fim_suf,
                llama.llama_vocab_fim_mid,
                llama.llama_vocab_fim_rep,
                llama.llama_vocab_fim_sep,
            )
        ]
        return FimTokens(*(token if token >= 0 else None for token in found))


def open_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a GGUF file, without its weights; it stays until the process ends.

    Raises:
        ModelError: llama.cpp refuses the file.
    """
    llama = load_library()
    params = llama.llama_model_default_params()
    params.vocab_only = True
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path}", hint="codebuddy models verify; codebuddy doctor"
        )
    return Vocabulary(llama, model, path.stem)
