"""What every test stands on: its own home, no network beyond this machine, real weights."""

from __future__ import annotations

import gc
import itertools
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from hypothesis import HealthCheck, settings

from codebuddy import paths
from codebuddy.inference.llama import LlamaGenerator
from codebuddy.settings import ModelSettings
from tests.support import tiers

# Read before any test moves the home folder: the weights that `make models` pulled, and the
# cache of pip.
REAL_MODELS = Path(os.environ.get("CODEBUDDY_MODEL_FOLDER") or paths.models_folder())
PIP_CACHE = Path(os.environ.get("PIP_CACHE_DIR") or platformdirs.user_cache_path("pip"))
DEFAULT_MODEL = REAL_MODELS / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
SMALL_MODEL = REAL_MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"

# Beside other workers, threads of llama.cpp that spin while they wait take the time of those that
# work; so do those of numpy's OpenBLAS, which reads its variable as it is loaded. Programs that a
# test starts inherit both.
IS_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
if IS_PARALLEL:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
_MODEL_SETTINGS = ModelSettings(n_ctx=2048, threads=1 if IS_PARALLEL else 0)

# An example may take longer on a busy machine, and another time not: that is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Modules about terminals and limits that Windows has not.
collect_ignore = []
if os.name == "nt":
    collect_ignore = [
        "commands/test_search_commands.py",
        "commands/test_whose_file.py",
        "core/test_user_file.py",
        "engine/test_engine_faults.py",
        "inference/test_models_commands.py",
        "inference/test_models_interruption.py",
        "tui/test_terminal_driver.py",
        "tui/test_tui_docs.py",
        "tui/test_tui_terminal.py",
    ]

_numbers = itertools.count()

_GIT_CONFIG = """\
[user]
    name = Test
    email = test@example.org
[init]
    defaultBranch = main
[commit]
    gpgSign = false
[protocol "file"]
    allow = always
"""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, Any, Any]:
    """Mark what starts programs or loads weights, and let workers begin with what takes longest."""
    tiers.add_markers(items)
    yield
    if IS_PARALLEL:
        tiers.sort_by_weight(items)


def pytest_collection_finish() -> None:
    """Take what was collected, which stays to the end, out of each later search for garbage."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Watch what shared fixtures start, for the guard of the tests that ask for them."""
    return (yield from tiers.watch_fixture(fixturedef))


@pytest.fixture(autouse=True)
def tier_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test without a marker that starts a program, loads weights or sleeps."""
    yield from tiers.guard(request.node, monkeypatch)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pytest's own, which reads the names of all earlier tests' folders to find a free one."""
    name = re.sub(r"\W", "_", request.node.name)[:28]
    return tmp_path_factory.mktemp(f"{name}-{next(_numbers)}", numbered=False)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and none of the developer's settings."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("CODEBUDDY_", "GIT_", "HF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(REAL_MODELS))
    # A test that wants an engine switches it on, and ends it.
    monkeypatch.setenv("CODEBUDDY_ENGINE_ENABLED", "false")
    # Nor is anything measured beside tests.
    monkeypatch.setenv("CODEBUDDY_ENGINE_TUNE", "off")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (home / "gitconfig").write_text(_GIT_CONFIG)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any other machine fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test connects to {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


GitRunner = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> GitRunner:
    """Runs git in a folder and returns its output."""

    def run(folder: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    return run


@pytest.fixture(scope="session")
def repository_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `repository` copies: three runs of git once, and not for each test."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "gitconfig").write_text(_GIT_CONFIG)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
    root = folder / "shop"
    root.mkdir()
    (root / "pricing.py").write_text(
        "def apply_discount(amount_cents: int, percent: int) -> int:\n"
        '    """The amount after a discount, rounded down."""\n'
        "    return amount_cents * (100 - percent) // 100\n"
        "\n\n"
        "def shipping_cost(weight_grams: int) -> int:\n"
        "    return 499 if weight_grams < 2000 else 999\n"
    )
    (root / "cart.py").write_text(
        "from pricing import apply_discount, shipping_cost\n"
        "\n\n"
        "def total(items, percent):\n"
        "    amount_cents = sum(item.price_cents for item in items)\n"
        "    return apply_discount(\n"
        "\n\n"
        "def label(name):\n"
        "    return name.title()\n"
    )
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "Start the shop"]):
        subprocess.run(["git", "-C", str(root), *arguments], check=True, env=environment)
    return root


@pytest.fixture
def repository(tmp_path: Path, git: GitRunner, repository_template: Path) -> Path:
    """A small repository in which one file uses what another defines."""
    root = shutil.copytree(repository_template, tmp_path / "shop", symlinks=True)
    # The copies are other files to git's index, which keeps their numbers.
    git(root, "update-index", "-q", "--refresh")
    return root


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Switches the engine on for a test, which need not start one, and leaves none behind."""
    from codebuddy.engine.client import stop_engine

    monkeypatch.setenv("CODEBUDDY_ENGINE_ENABLED", "true")
    yield
    stop_engine()


@pytest.fixture(scope="session")
def default_model() -> Iterator[LlamaGenerator]:
    """The real default model, loaded once for all tests."""
    assert DEFAULT_MODEL.is_file(), "run 'make models' first"
    generator = LlamaGenerator(DEFAULT_MODEL, "qwen2.5-coder-1.5b", _MODEL_SETTINGS)
    yield generator
    generator.close()


@pytest.fixture(scope="session")
def small_model() -> Iterator[LlamaGenerator]:
    """The real small model, which has no fill-in-the-middle tokens."""
    assert SMALL_MODEL.is_file(), "run 'make models' first"
    generator = LlamaGenerator(SMALL_MODEL, "smollm2-135m", _MODEL_SETTINGS)
    yield generator
    generator.close()
