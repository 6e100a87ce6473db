"""Whether this processor has what llama.cpp was compiled for.

A build for the processor that compiled it ends on a lesser one by a signal, in the middle of some
product. Environments do come to other processors: on a network disk, in a container's image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codebuddy.errors import ModelError

_CPU_INFO = Path("/proc/cpuinfo")
# As ggml's functions end, and as Linux calls it.
_NAMES = {
    "ssse3": "ssse3",
    "avx": "avx",
    "avx_vnni": "avx_vnni",
    "avx2": "avx2",
    "f16c": "f16c",
    "fma": "fma",
    "bmi2": "bmi2",
    "avx512": "avx512f",
    "avx512_vbmi": "avx512vbmi",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    # llama.cpp would do without, but such a build uses other new sets beside it, which it cannot
    # be asked about.
    "amx_int8": "amx_int8",
}


def processor_flags(file: Path = _CPU_INFO) -> frozenset[str] | None:
    """What Linux says that this x86 processor can do; None where it says nothing of the kind."""
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                name, _, value = line.partition(":")
                if name.strip() == "flags":
                    return frozenset(value.split())
    except OSError:
        pass
    return None


def missing_sets(ggml: Any, flags: frozenset[str] | None) -> list[str]:
    """The instruction sets that a build uses and a processor has not, in Linux's words.

    Args:
        ggml: The library; one that chooses its code as it starts does not say, and fits.
        flags: As `processor_flags` has them.
    """
    if flags is None:
        return []
    missing = []
    for suffix, flag in _NAMES.items():
        is_used = getattr(ggml, f"ggml_cpu_has_{suffix}", None)
        if is_used is not None and is_used() and flag not in flags:
            missing.append(flag)
    return missing


def check_processor(ggml: Any, flags: frozenset[str] | None) -> None:
    """Refuse a build that would end this process; the arguments are those of `missing_sets`.

    Raises:
        ModelError: Names what the processor lacks.
    """
    missing = missing_sets(ggml, flags)
    if missing:
        raise ModelError(
            f"llama.cpp was compiled for another processor: this one has no {', '.join(missing)}",
            hint="make setup, in the checkout, compiles it for this one; elsewhere "
            "pip install --force-reinstall --no-deps --no-cache-dir llama-cpp-python",
        )
