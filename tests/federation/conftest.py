"""Flower is in an environment of its own (.ci/extras): it lowers what the editor is drawn with."""

from __future__ import annotations

import importlib.util

import pytest

HAS_FLOWER = importlib.util.find_spec("flwr") is not None
FLOWERS = [
    "test_rounds.py",
    "test_processes.py",
    "test_secure.py",
    "test_adapters.py",
    "test_adapter_answers.py",
]
collect_ignore = [] if HAS_FLOWER else FLOWERS


@pytest.fixture(scope="session")
def shared():
    """What every codebuddy brings along."""
    from codebuddy.federation.local import load_shared

    return load_shared()
