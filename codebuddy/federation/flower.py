"""Flower, imported late and quiet: no telemetry, no question for newer versions, no log lines.

The variables are read as Flower is imported, so that every import of it goes through here.
"""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

from codebuddy.errors import CodebuddyError

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "GRPC_VERBOSITY": "NONE",
    # A proxy is for the world outside; the server is named by its address.
    "no_grpc_proxy": "*",
}


def flower(module: str) -> Any:
    """A module of Flower's.

    Raises:
        CodebuddyError: Flower is not installed, or another version than codebuddy knows.
    """
    os.environ.update(_QUIET)
    try:
        found = import_module(module)
    except ImportError as error:
        raise CodebuddyError(
            f"Flower cannot be loaded: {error}", hint="pip install 'codebuddy[federated]'"
        ) from error
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    return found
