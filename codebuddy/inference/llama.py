"""llama.cpp through llama-cpp-python's low-level interface: the only module that imports it.

It turns token lists into text, keeps what the KV cache already holds, and stops at once
when asked, inside prefill too. It knows nothing of prompts, files or suggestions.
"""

from __future__ import annotations

import codecs
import ctypes
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from codebuddy import platforms
from codebuddy.config import ModelSettings
from codebuddy.datatypes import FimTokens, GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, ModelError
from codebuddy.inference import hardware
from codebuddy.inference.gguf import read_header

# Tokens evaluated by one call; larger ones gain nothing on CPUs and cost logits memory.
N_BATCH = 512
# Sampling above temperature 0: the usual cut of the unlikely tail.
_TOP_P = 0.95
_PIECE_BYTES = 256


class LlamaGenerator:
    """A GGUF model, loaded. Not safe for concurrent use: one call at a time."""

    def __init__(self, path: Path, name: str, settings: ModelSettings) -> None:
        """Load the weights.

        Args:
            path: A GGUF file whose digest or header was checked before.
            name: What receipts call it.
            settings: Context length, threads and GPU layers.

        Raises:
            ModelError: It does not fit into memory, or llama.cpp refuses it.
        """
        self.name = name
        header = read_header(path)
        self.n_ctx = hardware.choose_context(settings.n_ctx, header)
        shape = hardware.shape_of(header)
        self._llama = _library()
        self._threads = hardware.choose_threads(settings.threads)
        self._devices = gpu_devices()
        self._gpu_layers = hardware.choose_gpu_layers(
            settings.gpu_layers, shape, self.n_ctx, self._devices
        )
        if not self._gpu_layers:
            needed = hardware.needed_bytes(shape, self.n_ctx, N_BATCH)
            hardware.check_memory(name, needed, hardware.available_bytes())
        self._should_stop = threading.Event()
        self._cached: list[int] = []
        self._load(path)
        self.fim = self._read_fim_tokens()

    def _load(self, path: Path) -> None:
        llama = self._llama
        model_params = llama.llama_model_default_params()
        model_params.n_gpu_layers = self._gpu_layers
        # Rearranged weights ("repacking") would take 0.6 GB more and make prefill, where most
        # of the time goes, a third slower (docs/log.md); AMX kernels built by GCC 12 crash.
        model_params.use_extra_bufts = False
        self._model = llama.llama_model_load_from_file(str(path).encode(), model_params)
        if not self._model:
            raise ModelError(
                f"llama.cpp cannot load {path}", hint="codebuddy models verify; codebuddy doctor"
            )
        context_params = llama.llama_context_default_params()
        context_params.n_ctx = self.n_ctx
        context_params.n_batch = context_params.n_ubatch = min(N_BATCH, self.n_ctx)
        context_params.n_threads = context_params.n_threads_batch = self._threads
        context_params.no_perf = True
        self._context = llama.llama_init_from_model(self._model, context_params)
        if not self._context:
            llama.llama_model_free(self._model)
            raise ModelError(
                f"llama.cpp cannot make a context of {self.n_ctx} tokens for {self.name}",
                hint="set model.n_ctx lower",
            )
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._memory = llama.llama_get_memory(self._context)
        self._n_vocab = int(llama.llama_vocab_n_tokens(self._vocab))
        # Kept as an attribute: C holds the pointer for as long as the context lives.
        self._abort = llama.ggml_abort_callback(self._on_node)
        llama.llama_set_abort_callback(self._context, self._abort, None)

    def close(self) -> None:
        """Free model and context; the object cannot be used afterwards."""
        if self._context:
            self._llama.llama_free(self._context)
            self._llama.llama_model_free(self._model)
            self._context = self._model = None

    def cancel(self) -> None:
        """Stop the running `generate` at the next graph node, from any thread."""
        self._should_stop.set()

    @property
    def runtime(self) -> dict[str, object]:
        """What was used: backend, threads, GPU layers and devices."""
        return {
            "backend": "llama.cpp",
            "threads": self._threads,
            "gpu_layers": self._gpu_layers,
            "gpu": [device.name for device in self._devices] if self._gpu_layers else [],
            "n_ctx": self.n_ctx,
        }

    @property
    def bos(self) -> int | None:
        """The beginning-of-sequence token, where the vocabulary asks for one."""
        if not self._llama.llama_vocab_get_add_bos(self._vocab):
            return None
        token = int(self._llama.llama_vocab_bos(self._vocab))
        return token if token >= 0 else None

    def tokenize(self, text: str) -> list[int]:
        """Token ids; special tokens written in `text` are taken as plain text."""
        encoded = text.encode("utf-8", "replace")
        room = len(encoded) + 8
        tokens = (self._llama.llama_token * room)()
        count = self._llama.llama_tokenize(
            self._vocab, encoded, len(encoded), tokens, room, False, False
        )
        if count < 0:
            raise GenerationError(f"{self.name} cannot tokenize {len(encoded)} bytes of text")
        return list(tokens[:count])

    def generate(
        self, tokens: Sequence[int], settings: GenerationSettings, stats: GenerationStats
    ) -> Iterator[str]:
        """Yield text pieces until the model ends, `max_tokens`, `cancel`, or the caller stops.

        Raises:
            GenerationError: The prompt does not fit, or llama.cpp failed.
        """
        room = self.n_ctx - len(tokens)
        if not tokens or room < 1:
            raise GenerationError(
                f"a prompt of {len(tokens)} tokens does not fit into {self.n_ctx}",
                hint="set completion.prefix_tokens lower or model.n_ctx higher",
            )
        self._should_stop.clear()
        started = time.perf_counter()
        self._prefill(list(tokens), stats)
        stats.prefill_ms = (time.perf_counter() - started) * 1000
        limit = min(settings.max_tokens, room)
        sampler = self._make_sampler(settings)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        started = time.perf_counter()
        stats.finish_reason = "length"
        try:
            for step in range(limit):
                token = self._sample(sampler)
                if self._llama.llama_vocab_is_eog(self._vocab, token):
                    stats.finish_reason = "stop"
                    break
                stats.generated_tokens += 1
                stats.generate_ms = (time.perf_counter() - started) * 1000
                if piece := decoder.decode(self._piece(token)):
                    yield piece
                if step + 1 < limit:
                    self._decode([token])
        finally:
            stats.generate_ms = (time.perf_counter() - started) * 1000
            if sampler is not None:
                self._llama.llama_sampler_free(sampler)

    def _prefill(self, tokens: list[int], stats: GenerationStats) -> None:
        """Evaluate what the KV cache does not hold yet; at least the last token, for its logits."""
        common = 0
        for held, wanted in zip(self._cached, tokens, strict=False):
            if held != wanted:
                break
            common += 1
        reused = min(common, len(tokens) - 1)
        if not self._llama.llama_memory_seq_rm(self._memory, 0, reused, -1):
            # Recurrent and sliding-window memories cannot be cut: begin anew.
            self._llama.llama_memory_clear(self._memory, True)
            reused = 0
        del self._cached[reused:]
        stats.prompt_tokens = len(tokens)
        stats.reused_tokens = reused
        for start in range(reused, len(tokens), N_BATCH):
            batch = tokens[start : start + N_BATCH]
            self._decode(batch)
            stats.evaluated_tokens += len(batch)

    def _decode(self, batch: list[int]) -> None:
        array = (self._llama.llama_token * len(batch))(*batch)
        with platforms.interrupts_held(self._should_stop.set) as held:
            outcome = self._llama.llama_decode(
                self._context, self._llama.llama_batch_get_one(array, len(batch))
            )
        if outcome == 0:
            self._cached.extend(batch)
        else:
            # What a failed call left in the cache is unknown: keep only what came before.
            self._llama.llama_memory_seq_rm(self._memory, 0, len(self._cached), -1)
        if held.was_interrupted:
            raise KeyboardInterrupt
        if outcome == 0:
            return
        if self._should_stop.is_set():
            raise GenerationError("cancelled")
        raise GenerationError(
            f"llama.cpp failed to evaluate {len(batch)} tokens (code {outcome})",
            hint="codebuddy doctor",
        )

    def _on_node(self, _data: object) -> bool:
        """llama.cpp asks before each graph node whether to stop."""
        return self._should_stop.is_set()

    def _make_sampler(self, settings: GenerationSettings) -> Any:
        if settings.temperature <= 0:
            return None
        llama = self._llama
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for link in (
            llama.llama_sampler_init_top_p(_TOP_P, 1),
            llama.llama_sampler_init_temp(settings.temperature),
            llama.llama_sampler_init_dist(settings.seed),
        ):
            llama.llama_sampler_chain_add(chain, link)
        return chain

    def _sample(self, sampler: Any) -> int:
        if sampler is not None:
            return int(self._llama.llama_sampler_sample(sampler, self._context, -1))
        import numpy

        logits = self._llama.llama_get_logits_ith(self._context, -1)
        return int(numpy.argmax(numpy.ctypeslib.as_array(logits, shape=(self._n_vocab,))))

    def _piece(self, token: int) -> bytes:
        """The token's bytes; special tokens have none."""
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        length = self._llama.llama_token_to_piece(
            self._vocab, token, buffer, _PIECE_BYTES, 0, False
        )
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._llama.llama_token_to_piece(self._vocab, token, buffer, -length, 0, False)
        return buffer.raw[:length]

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


def system_info() -> str:
    """The instruction sets and backends that llama.cpp was built with, in its own words."""
    info: bytes = _library().llama_print_system_info()
    return info.decode("utf-8", "replace")


def version() -> str:
    """The version of llama-cpp-python."""
    import llama_cpp

    return str(llama_cpp.__version__)


def gpu_devices() -> list[hardware.GpuDevice]:
    """The GPUs that this build of llama.cpp can put layers on, with their free memory."""
    llama = _library()
    if not llama.llama_supports_gpu_offload():
        return []
    ggml = _ggml_library()
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        if ggml.ggml_backend_dev_type(device) not in (_DEVICE_GPU, _DEVICE_INTEGRATED_GPU):
            continue
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        name = ggml.ggml_backend_dev_description(device) or b"GPU"
        found.append(hardware.GpuDevice(name.decode("utf-8", "replace"), free.value, total.value))
    return found


# enum ggml_backend_dev_type
_DEVICE_GPU, _DEVICE_INTEGRATED_GPU = 1, 2


def _library() -> Any:
    """The low-level module (0.3 s to import), with its log silenced."""
    try:
        from llama_cpp import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f"the llama.cpp runtime cannot be loaded: {error}",
            hint="reinstall it: pip install --force-reinstall --no-cache-dir llama-cpp-python",
        ) from error
    global _log_callback
    if _log_callback is None:
        _log_callback = llama_cpp.llama_log_callback(_ignore_log)
        llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
    return llama_cpp


# Kept alive, because llama.cpp calls it for as long as the process lives.
_log_callback: Any = None


def _ignore_log(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp's chatter does not belong on a user's terminal."""


def _ggml_library() -> Any:
    from llama_cpp import _ggml

    library = _ggml.libggml
    library.ggml_backend_dev_count.restype = ctypes.c_size_t
    library.ggml_backend_dev_get.restype = ctypes.c_void_p
    library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    library.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    library.ggml_backend_dev_description.restype = ctypes.c_char_p
    library.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
    library.ggml_backend_dev_memory.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.POINTER(ctypes.c_size_t),
    ]
    return library
