"""Adapters of a loaded model: read once, and acting or not as a request asks.

Taking one in costs some 40 ms, switching it on or off less than one. It does not know which
tokens an adapter acts on: `llama.py` switches it on before the token that asks for the middle,
or before the last one of a prompt that cannot ask.
"""

from __future__ import annotations

import ctypes
from typing import Any

from codebuddy import platforms
from codebuddy.datatypes import Adapter
from codebuddy.errors import GenerationError
from codebuddy.inference import hardware
from codebuddy.inference.adapter import identity_of, refused

# Those of the repositories that somebody works in at a time, and of two that are compared.
_MAX_LOADED, _MAX_LOADED_BYTES = 8, 256 << 20


class AdapterSwitch:
    """The adapters of one model, of which at most one acts. Not safe for concurrent use."""

    def __init__(self, llama: Any, model: Any, context: Any) -> None:
        """Begin with none.

        Args:
            llama: The low-level module.
            model: Its pointer to the model, which frees what is loaded here.
            context: The context in which adapters act.
        """
        self._llama = llama
        self._model = model
        self._context = context
        # Pointer and bytes by digest, the last used at the end.
        self._loaded: dict[str, tuple[Any, int]] = {}
        self.acting: Adapter | None = None

    def load(self, adapter: Adapter) -> None:
        """Have `adapter` at hand; none acts afterwards.

        Raises:
            ModelError: Its file changed since it was checked, llama.cpp refuses it, or memory
                is short.
        """
        self.turn_off()
        known = self._loaded.pop(adapter.sha256, None)
        if known is None:
            self._make_room(adapter.size)
            hardware.check_memory(adapter.name, adapter.size, hardware.available_bytes())
            known = self._read(adapter), adapter.size
        self._loaded[adapter.sha256] = known

    def _make_room(self, size: int) -> None:
        """Free those that were not used for longest until there is room for one more."""
        while self._loaded and (
            len(self._loaded) >= _MAX_LOADED
            or size + sum(each for _, each in self._loaded.values()) > _MAX_LOADED_BYTES
        ):
            oldest = next(iter(self._loaded))
            self._llama.llama_adapter_lora_free(self._loaded.pop(oldest)[0])

    def turn_on(self, adapter: Adapter) -> None:
        """Let `adapter`, which is loaded, act on what is evaluated from here on.

        Raises:
            GenerationError: llama.cpp does not.
        """
        llama = self._llama
        one = (llama.llama_adapter_lora_p_ctypes * 1)(self._loaded[adapter.sha256][0])
        outcome = llama.llama_set_adapters_lora(self._context, one, 1, (ctypes.c_float * 1)(1.0))
        if outcome:
            raise GenerationError(
                f"llama.cpp cannot apply the adapter {adapter.name} (code {outcome})",
                hint="set model.adapter to none",
            )
        self.acting = adapter

    def turn_off(self) -> None:
        """Let the base act alone."""
        if self.acting is not None:
            self._llama.llama_set_adapters_lora(self._context, None, 0, None)
            self.acting = None

    def _read(self, adapter: Adapter) -> Any:
        # Ctrl-C inside native code that reads a file would be lost.
        with platforms.interrupts_held(lambda: None) as interrupts:
            pointer = self._llama.llama_adapter_lora_init(self._model, str(adapter.path).encode())
        if interrupts.was_interrupted:
            raise KeyboardInterrupt
        if not pointer:
            raise refused(adapter.path, "llama.cpp cannot load it")
        try:
            is_same = identity_of(adapter.path) == adapter.identity
        except OSError:
            is_same = False
        if not is_same:
            self._llama.llama_adapter_lora_free(pointer)
            raise refused(adapter.path, "it changed after it was checked")
        return pointer
