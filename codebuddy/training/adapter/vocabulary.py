"""A GGUF model's tokenizer alone, without its weights: enough to build prompts for training."""

from __future__ import annotations

import ctypes
from pathlib import Path

from codebuddy.datatypes import FimTokens
from codebuddy.inference.llama_library import load_library


class Vocabulary:
    """Has what `build_prompt` asks of a generator: `tokenize`, `fim`, `bos`, `n_ctx`."""

    def __init__(self, path: Path, n_ctx: int = 4096) -> None:
        """Load the tokenizer of the GGUF file `path`; some 50 MB of memory."""
        self.name = path.stem
        self.n_ctx = n_ctx
        self._llama = llama = load_library()
        params = llama.llama_model_default_params()
        params.vocab_only = True
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ValueError(f"{path} has no vocabulary that llama.cpp can read")
        self._vocab = llama.llama_model_get_vocab(self._model)
        read = (
            llama.llama_vocab_fim_pre,
            llama.llama_vocab_fim_suf,
            llama.llama_vocab_fim_mid,
            llama.llama_vocab_fim_rep,
            llama.llama_vocab_fim_sep,
        )
        found = [int(each(self._vocab)) for each in read]
        self.fim = FimTokens(*(token if token >= 0 else None for token in found))
        self.bos = int(llama.llama_vocab_bos(self._vocab)) if self._adds_bos() else None

    def _adds_bos(self) -> bool:
        return bool(self._llama.llama_vocab_get_add_bos(self._vocab))

    def is_end(self, token: int) -> bool:
        """Whether generation ends at this token."""
        return bool(self._llama.llama_vocab_is_eog(self._vocab, token))

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens in it are plain text."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        buffer = (ctypes.c_int32 * size)()
        count = self._llama.llama_tokenize(self._vocab, data, len(data), buffer, size, False, False)
        return list(buffer[:count])

    def text(self, tokens: list[int]) -> str:
        """The text of token ids, without special tokens."""
        pieces = b""
        for token in tokens:
            buffer = ctypes.create_string_buffer(256)
            length = self._llama.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
            pieces += buffer.raw[: max(0, length)]
        return pieces.decode("utf-8", "replace")
