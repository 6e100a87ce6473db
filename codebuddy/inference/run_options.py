"""How a model is run on this machine, and the llama.cpp objects that are made so.

What a setting does not say is chosen here by rule; measuring may find something better for a
machine (`tuner.py`). It knows neither files of settings nor what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codebuddy.errors import ModelError
from codebuddy.inference import hardware
from codebuddy.inference.gguf import GgufHeader
from codebuddy.inference.hardware import GpuDevice
from codebuddy.inference.kv_cache import N_SEQUENCES
from codebuddy.settings import ModelSettings

# enum llama_flash_attn_type
_FLASH_AUTO, _FLASH_OFF = -1, 0
# llama.cpp aborts where a batch has fewer tokens than there are sequences.
_LEAST_TOKENS, _MOST_TOKENS = N_SEQUENCES, 4096


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Threads, tokens of a batch, layers on the GPU; the layout of weights; flash attention.

    With `has_extra_buffers` llama.cpp rearranges weights for the processor as it loads them: for
    AMX where it was built with that. With `may_flash` it decides on flash attention itself.
    """

    threads: int
    batch_tokens: int
    gpu_layers: int
    has_extra_buffers: bool = False
    may_flash: bool = True

    def to_json(self) -> dict[str, int | bool]:
        """As `from_json` takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunOptions:
        """Checked, since it comes from a file or another process.

        Raises:
            ValueError: It is something else.
        """
        kinds: dict[str, type] = {"threads": int, "batch_tokens": int, "gpu_layers": int}
        kinds |= {"has_extra_buffers": bool, "may_flash": bool}
        if not isinstance(value, dict) or value.keys() != kinds.keys():
            raise ValueError("these are no options")
        if any(type(value[name]) is not kind for name, kind in kinds.items()):
            raise ValueError("an option is of another type")
        options = cls(**value)
        is_sane = (
            1 <= options.threads <= 1024
            and _LEAST_TOKENS <= options.batch_tokens <= _MOST_TOKENS
            and 0 <= options.gpu_layers <= 10_000
        )
        if not is_sane:
            raise ValueError("an option is out of bounds")
        return options


def untuned_options(
    settings: ModelSettings, header: GgufHeader, devices: Sequence[GpuDevice]
) -> RunOptions:
    """What holds where nothing was measured.

    Rearranged weights ("repacking") take 0.6 GB more, and without AMX make prefill, where most of
    the time goes, a third slower (docs/log.md); AMX kernels built by GCC 12 crash.
    """
    n_ctx = hardware.choose_context(settings.n_ctx, header)
    layers = hardware.choose_gpu_layers(
        settings.gpu_layers, hardware.shape_of(header), n_ctx, devices
    )
    return RunOptions(
        threads=hardware.choose_threads(settings.threads),
        batch_tokens=hardware.choose_batch_tokens(layers, n_ctx),
        gpu_layers=layers,
    )


def open_model(llama: Any, path: Path, options: RunOptions) -> Any:
    """The weights, for as long as the caller keeps them.

    Raises:
        ModelError: llama.cpp refuses the file.
    """
    params = llama.llama_model_default_params()
    params.n_gpu_layers = options.gpu_layers
    params.use_extra_bufts = options.has_extra_buffers
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path}", hint="codebuddy models verify; codebuddy doctor"
        )
    return model


def can_be_cut(llama: Any, model: Any) -> bool:
    """Whether its memory can be cut and shifted: not recurrent and sliding-window ones."""
    return not (
        llama.llama_model_is_recurrent(model)
        or llama.llama_model_is_hybrid(model)
        or llama.llama_model_n_swa(model) > 0
    )


def open_context(llama: Any, model: Any, options: RunOptions, n_ctx: int, name: str) -> Any:
    """A context over a model, which the caller frees first.

    Raises:
        ModelError: There is no room for it.
    """
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = params.n_ubatch = options.batch_tokens
    params.n_threads = params.n_threads_batch = options.threads
    params.n_seq_max = N_SEQUENCES if can_be_cut(llama, model) else 1
    params.kv_unified = True
    params.flash_attn_type = _FLASH_AUTO if options.may_flash else _FLASH_OFF
    if not options.gpu_layers:
        # On an Intel Xeon this kept a single row's attention from being split between threads,
        # which rounds differently than several rows do: drafts would change the text. On an
        # AMD EPYC it makes no difference (docs/log.md).
        params.type_v = llama.GGML_TYPE_F32
    params.no_perf = True
    context = llama.llama_init_from_model(model, params)
    if not context:
        raise ModelError(
            f"llama.cpp cannot make a context of {n_ctx} tokens for {name}",
            hint="set model.n_ctx lower",
        )
    return context
