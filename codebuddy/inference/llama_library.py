"""The one home of llama-cpp-python: its low-level module, quiet, and what it says of itself.

Other modules take the returned module object; none of them imports it. It loads no model.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from codebuddy.errors import ModelError
from codebuddy.inference.hardware import GpuDevice
from codebuddy.inference.instruction_sets import check_processor, processor_flags

# How often a thread of llama.cpp's asks whether the others are done before it sleeps. OpenMP's
# own number has it burn the core that another program needs: with one of two cores busy,
# generation was half as fast; without asking at all it is a third slower where all is quiet.
_SPIN_COUNT = "1000"
# The same for clang's OpenMP library, which waits 200 ms.
_BLOCK_TIME = "50us"
# enum ggml_backend_dev_type
_DEVICE_GPU, _DEVICE_INTEGRATED_GPU = 1, 2


def load_library() -> Any:
    """The low-level module (0.3 s to import), with its log silenced.

    Raises:
        ModelError: The runtime is missing, broken, or compiled for another processor.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        # Read by the OpenMP library when it is loaded.
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
        os.environ.setdefault("KMP_BLOCKTIME", _BLOCK_TIME)
    try:
        from llama_cpp import _ggml, llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f"the llama.cpp runtime cannot be loaded: {error}",
            hint="reinstall it: pip install --force-reinstall --no-cache-dir llama-cpp-python",
        ) from error
    global _log_callback
    if _log_callback is None:
        # Before anything of it runs.
        check_processor(_ggml.libggml, processor_flags())
        _log_callback = llama_cpp.llama_log_callback(_ignore_log)
        llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
    return llama_cpp


# Kept alive, because llama.cpp calls it for as long as the process lives.
_log_callback: Any = None


def _ignore_log(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp's chatter does not belong on a user's terminal."""


def system_info() -> str:
    """The instruction sets and backends that llama.cpp was built with, in its own words."""
    info: bytes = load_library().llama_print_system_info()
    return info.decode("utf-8", "replace")


def version() -> str:
    """The version of llama-cpp-python."""
    import llama_cpp

    return str(llama_cpp.__version__)


def gpu_devices() -> list[GpuDevice]:
    """The GPUs that this build of llama.cpp can put layers on, with their free memory."""
    llama = load_library()
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
        found.append(GpuDevice(name.decode("utf-8", "replace"), free.value, total.value))
    return found


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
