"""Texts -> unit vectors: a static model read without torch, or any sentence-transformers model.

A static model is sentence-transformers' own StaticEmbedding format: a tokenizer and one row
per token, whose mean is the text's vector. It is read with tokenizers, safetensors and numpy
alone. It knows nothing of chunks, repositories or where vectors are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from codebuddy import paths
from codebuddy.errors import ModelError
from codebuddy.index.chunk_bag import RUN
from codebuddy.index.embedder_names import checked_name, is_missing

if TYPE_CHECKING:
    from codebuddy.index.vectors import Encoder

Vectors = npt.NDArray[np.float32]
# The tokens of some texts one after the other, what each counts, and how many each text has.
_Tokens = tuple[npt.NDArray[np.int64], Vectors, npt.NDArray[np.int64]]
T = TypeVar("T")

DEFAULT_NAMES = ("", "default")
_REINSTALL = "install codebuddy again, or choose another one with --embedder"
_NOT_HERE = "is neither a folder nor a model that can be had without the network"
# Rows gathered at once, which bounds the memory that a text of many megabytes takes.
_BLOCK_ROWS = 8192
# Texts tokenized at once, which bounds the memory that their tokens take.
_BLOCK_TEXTS = 512
_MAX_CACHED_RUNS = 300_000
_MAX_RUN_CHARACTERS = 64
# The normalizer and pre-tokenizer of a word-wise vocabulary (training/embedder/vocabulary.py):
# both work within a run of letters and digits, so that a run can be tokenized by itself.
CAMEL_BORDER = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
WORD = r"[a-z]+|[0-9]+|[^\x00-\x7f]+"


class StaticEncoder:
    """A static embedding model: `encode` needs neither torch nor a GPU.

    Args:
        tokenizer: A `tokenizers.Tokenizer`.
        rows: `[tokens, dim]`, int8, float16 or float32.
        scales: `[tokens]`, what each row is multiplied by.
        mapping: `[tokens]`, the row of each token where it is not the token's own number.
        fingerprint: Identifies these weights.
    """

    def __init__(
        self,
        tokenizer: Any,
        rows: npt.NDArray[Any],
        scales: Vectors | None,
        mapping: npt.NDArray[np.int64] | None,
        fingerprint: str,
    ) -> None:
        self.tokenizer = tokenizer
        self._rows = rows
        self._scales = scales
        self._mapping = mapping
        self._runs: dict[str, list[int]] | None = {} if _is_word_wise(tokenizer) else None
        self.fingerprint = fingerprint
        self.dim = int(rows.shape[1])

    @classmethod
    def open(cls, folder: Path) -> StaticEncoder:
        """Read the model in `folder`, which `SentenceTransformer(folder)` reads as well.

        Raises:
            ModelError: A file is missing, damaged, or does not fit the others.
        """
        folder = _static_folder(folder)
        weights_bytes = _read(folder / "model.safetensors")
        tokenizer_bytes = _read(folder / "tokenizer.json")
        tensors = _tensors(folder / "model.safetensors", weights_bytes)
        tokenizer = _tokenizer(folder / "tokenizer.json", tokenizer_bytes)
        rows, scales, mapping = _checked(folder, tensors, tokenizer.get_vocab_size())
        digest = hashlib.sha256(weights_bytes)
        digest.update(hashlib.sha256(tokenizer_bytes).digest())
        return cls(tokenizer, rows, scales, mapping, digest.hexdigest()[:32])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`[len(texts), dim]`, each row of unit length, or zeros for a text without tokens."""
        if self._runs is not None:
            return self._in_blocks(texts, lambda some: self._of_bags(_bags_of(some)))
        return self._in_blocks(texts, self._of_texts)

    @property
    def reads_bags(self) -> bool:
        """Whether `encode_bags` can be asked: the vocabulary takes each run by itself."""
        return self._runs is not None

    def rows(self) -> Vectors:
        """`[tokens, dim]`: each token's vector."""
        rows = self._rows if self._mapping is None else self._rows[self._mapping]
        rows = rows.astype(np.float32)
        return rows if self._scales is None else rows * self._scales[:, None]

    def encode_bags(self, bags: Sequence[Mapping[str, float]]) -> Vectors:
        """As `encode`, of texts given as runs of letters and digits and what each counts."""
        return self._in_blocks(bags, self._of_bags)

    def _in_blocks(
        self, items: Sequence[T], tokens_of: Callable[[Sequence[T]], _Tokens]
    ) -> Vectors:
        vectors = np.zeros((len(items), self.dim), np.float32)
        for start in range(0, len(items), _BLOCK_TEXTS):
            block = items[start : start + _BLOCK_TEXTS]
            self._add(vectors[start : start + len(block)], *tokens_of(block))
        # The norm is taken in double precision: a long text's sum squares to large numbers.
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        np.divide(vectors, norms[:, None], out=vectors, where=norms[:, None] > 0, casting="unsafe")
        return vectors

    def _of_texts(self, texts: Sequence[str]) -> _Tokens:
        tokens: list[int] = []
        lengths = np.zeros(len(texts), np.int64)
        encodings = self.tokenizer.encode_batch_fast(
            [_encodable(text) for text in texts], add_special_tokens=False
        )
        for index, encoding in enumerate(encodings):
            tokens += encoding.ids
            lengths[index] = len(encoding.ids)
        return np.array(tokens, np.int64), np.ones(len(tokens), np.float32), lengths

    def _of_bags(self, bags: Sequence[Mapping[str, float]]) -> _Tokens:
        tokens: list[int] = []
        counts: list[float] = []
        lengths = np.zeros(len(bags), np.int64)
        known = self._tokens_of_runs(bags)
        for index, bag in enumerate(bags):
            before = len(tokens)
            for run, count in bag.items():
                ids = known[run]
                tokens += ids
                counts += [count] * len(ids) if len(ids) != 1 else (count,)
            lengths[index] = len(tokens) - before
        return np.array(tokens, np.int64), np.array(counts, np.float32), lengths

    def _tokens_of_runs(self, bags: Sequence[Mapping[str, float]]) -> Mapping[str, list[int]]:
        """The tokens of every run in `bags`; runs seen before are looked up."""
        assert self._runs is not None
        if len(self._runs) > _MAX_CACHED_RUNS:
            self._runs.clear()
        known = self._runs
        fresh = list({run for bag in bags for run in bag if run not in known})
        if not fresh:
            return known
        encodings = self.tokenizer.encode_batch_fast(
            [_encodable(run) for run in fresh], add_special_tokens=False
        )
        found = {run: encoding.ids for run, encoding in zip(fresh, encodings, strict=True)}
        short = {run: ids for run, ids in found.items() if len(run) <= _MAX_RUN_CHARACTERS}
        known.update(short)
        # Long runs are packed data: they are not met again, and would fill the memory.
        return known if len(short) == len(found) else {**known, **found}

    def _add(
        self,
        vectors: Vectors,
        tokens: npt.NDArray[np.int64],
        counts: Vectors,
        lengths: npt.NDArray[np.int64],
    ) -> None:
        """Add each text's rows, times their counts, to its line of `vectors`."""
        if self._scales is not None:
            counts = counts * self._scales[tokens]
        if self._mapping is not None:
            tokens = self._mapping[tokens]
        # One product of a vector with a few rows a text: 15 times as fast as adding up all
        # texts' rows at once, which leaves the cache.
        end = 0
        for line, length in enumerate(lengths.tolist()):
            begin, end = end, end + length
            for start in range(begin, end, _BLOCK_ROWS):
                stop = min(start + _BLOCK_ROWS, end)
                rows = self._rows[tokens[start:stop]]
                vectors[line] += counts[start:stop] @ rows.astype(np.float32, copy=False)


class TransformerEncoder:
    """Any sentence-transformers model, by folder or by its name in the hub's cache."""

    def __init__(self, model: Any, fingerprint: str) -> None:
        self._model = model
        self.fingerprint = fingerprint
        self.dim = int(model.get_embedding_dimension())

    @classmethod
    def open(cls, name: str) -> TransformerEncoder:
        """Load the model `name`; the network is not used.

        Raises:
            ModelError: It cannot be found or read.
        """
        if is_missing(name):
            raise _no_model(name, _NOT_HERE)
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        # A bar of half a second does not belong on a user's terminal.
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model = SentenceTransformer(name, device="cpu", local_files_only=True)
            digest = hashlib.sha256()
            for key, tensor in sorted(model.state_dict().items()):
                digest.update(key.encode())
                digest.update(tensor.float().contiguous().numpy().tobytes())
        # The libraries below raise whatever the damage leads them to.
        except Exception as error:
            # What its libraries say of a model that is there in part speaks of the hub alone.
            is_part = isinstance(error, OSError) and not os.path.exists(name)  # noqa: PTH110
            fault = _NOT_HERE if is_part else f"cannot be loaded: {_first_line(error)}"
            raise _no_model(name, fault) from error
        return cls(model, digest.hexdigest()[:32])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`[len(texts), dim]`, each row of unit length; zeros for an empty text."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        filled = [index for index, text in enumerate(texts) if text.strip()]
        if filled:
            vectors[filled] = self._model.encode(
                [_encodable(texts[index]) for index in filled],
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return vectors


def _no_model(name: str, fault: str) -> ModelError:
    return ModelError(
        f"the embedder {name} {fault}",
        hint="name the folder of a sentence-transformers model;"
        f" '{DEFAULT_NAMES[1]}' is the built-in one, 'none' does without",
    )


def _bags_of(texts: Sequence[str]) -> list[Counter[str]]:
    return [Counter(RUN.findall(text)) for text in texts]


def open_encoder(name: str = "") -> Encoder:
    """The encoder that `--embedder` names.

    Args:
        name: Empty or `default` for the shipped static model, the folder of a static or any
            other sentence-transformers model, or such a model's name on the hub.

    Raises:
        ModelError: It cannot be found or read.
    """
    if name in DEFAULT_NAMES:
        return StaticEncoder.open(paths.shipped_models_folder() / "embedder")
    name = checked_name(name)
    if _is_static(Path(name)):
        return StaticEncoder.open(Path(name))
    return TransformerEncoder.open(name)


def _modules(folder: Path) -> list[dict[str, Any]]:
    """What `modules.json` lists, or nothing where there is none or it cannot be read."""
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    is_list = isinstance(modules, list) and all(isinstance(each, dict) for each in modules)
    return modules if is_list else []


def _is_static(folder: Path) -> bool:
    """Whether a static embedding is all that the model in `folder` computes."""
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in _modules(folder)]
    return kinds[:1] == ["StaticEmbedding"] and set(kinds[1:]) <= {"Normalize"}


def _static_folder(folder: Path) -> Path:
    """Where in `folder` the static embedding's files lie."""
    if not _is_static(folder):
        raise ModelError(
            f"{folder} holds no static embedding model that can be read", hint=_REINSTALL
        )
    return folder / str(_modules(folder)[0].get("path", ""))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", hint=_REINSTALL) from error


def _tensors(file: Path, content: bytes) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {_first_line(error)}", hint=_REINSTALL) from error


def _tokenizer(file: Path, content: bytes) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(content)
    # tokenizers raises plain Exception for anything that it cannot read.
    except Exception as error:
        raise ModelError(f"{file} is damaged: {_first_line(error)}", hint=_REINSTALL) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _checked(
    folder: Path, tensors: Mapping[str, npt.NDArray[Any]], n_tokens: int
) -> tuple[npt.NDArray[Any], Vectors | None, npt.NDArray[np.int64] | None]:
    """Rows, scales and mapping, if they fit each other and a vocabulary of `n_tokens`.

    The names are those that StaticEmbedding reads: `embedding.weight`, or `embeddings` with
    `weights` and `mapping`, each of which may be missing.
    """
    rows = tensors.get("embedding.weight", tensors.get("embeddings"))
    scales, mapping = tensors.get("weights"), tensors.get("mapping")
    fault = ""
    if rows is None or rows.ndim != 2 or not rows.size:
        fault = "has no table of vectors"
    elif rows.dtype not in (np.int8, np.float16, np.float32):
        fault = f"has vectors of type {rows.dtype}"
    elif mapping is not None and (
        mapping.shape != (n_tokens,)
        or mapping.dtype.kind not in "iu"
        or not 0 <= int(mapping.min()) <= int(mapping.max()) < len(rows)
    ):
        fault = "maps tokens to rows that are not there"
    elif mapping is None and len(rows) != n_tokens:
        fault = f"has {len(rows)} vectors for the {n_tokens} tokens of its tokenizer"
    elif scales is not None and (scales.shape != (n_tokens,) or scales.dtype.kind != "f"):
        fault = "has scales that do not fit its vectors"
    elif not all(
        np.isfinite(each).all() for each in (rows, scales) if each is not None and each.size
    ):
        fault = "holds values that are no numbers"
    if fault or rows is None:
        raise ModelError(f"the embedder in {folder} {fault}", hint=_REINSTALL)
    return (
        rows,
        None if scales is None else scales.astype(np.float32),
        None if mapping is None else mapping.astype(np.int64),
    )


def _is_word_wise(tokenizer: Any) -> bool:
    """Whether each run of letters and digits is tokenized as if it stood alone."""
    try:
        normalizer = json.loads(tokenizer.normalizer.__getstate__())
        splitter = json.loads(tokenizer.pre_tokenizer.__getstate__())
    except AttributeError:
        return False
    replace = {"type": "Replace", "pattern": {"Regex": CAMEL_BORDER}, "content": " "}
    return bool(
        not tokenizer.get_added_tokens_decoder()
        and normalizer == {"type": "Sequence", "normalizers": [replace, {"type": "Lowercase"}]}
        and splitter
        == {"type": "Split", "pattern": {"Regex": WORD}, "behavior": "Removed", "invert": True}
    )


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which no tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
