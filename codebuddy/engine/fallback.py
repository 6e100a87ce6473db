"""Asking the engine from a command, which does the work itself where the engine cannot.

A person notices one quiet sentence at most. Errors of the work itself (a wrong position, a
missing model) are the same with and without the engine and are not caught here.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import TypeVar

from codebuddy.config import load_settings
from codebuddy.engine.client import EngineClient
from codebuddy.errors import EngineBusyError, EngineError, ModelError, SupersededError
from codebuddy.terminal import is_terminal, note, safe_line

T = TypeVar("T")


def ask_engine(ask: Callable[[EngineClient], T]) -> T | None:
    """What `ask` gets from the engine, or `None` if this process is to do it itself.

    Raises:
        ConfigError: A setting is wrong.
        CodebuddyError: What the work itself raises.
    """
    if not load_settings().settings.engine.enabled or not hasattr(socket, "AF_UNIX"):
        return None
    try:
        return ask(EngineClient.connect())
    except (EngineBusyError, SupersededError):
        raise
    except EngineError as error:
        remedy = f" ({error.hint})" if error.hint else ""
        note(f"note: {safe_line(error.message)}; working without it{safe_line(remedy)}")
        return None
    except ModelError:
        if is_terminal(sys.stdin) and is_terminal(sys.stderr):
            # Only here can a person be asked whether to download it.
            return None
        raise
