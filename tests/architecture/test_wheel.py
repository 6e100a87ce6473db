"""The wheel: built, installed into an empty environment, used outside the checkout."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PIP_CACHE

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_carries_the_catalog_and_nothing_foreign(wheel):
    """Package, catalog and adapters are inside; tests, caches and weights of models are not."""
    held = zipfile.ZipFile(wheel)
    names = held.namelist()
    adapters = [n for n in names if re.fullmatch(r"codebuddy/shipped_models/adapter/.*\.gguf", n)]
    assert all(name.replace(".gguf", ".json") in names for name in adapters)
    assert "codebuddy/shipped_models/catalog.toml" in names
    assert "codebuddy/py.typed" in names
    assert not [
        n
        for n in set(names) - set(adapters)
        if n.startswith(("tests/", "docs/")) or n.endswith((".gguf", ".pyc"))
    ]
    of_adapters = sum(held.getinfo(name).compress_size for name in adapters)
    assert wheel.stat().st_size - of_adapters < 20_000_000


def test_what_the_wheel_leaves_out_is_asked_for_by_nothing_in_it(wheel):
    """The embedder's training stays in the repository; that of heads and adapters comes along."""
    held = zipfile.ZipFile(wheel)
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): held.read(name)
        for name in held.namelist()
        if name.endswith(".py")
    }
    assert not [name for name in modules if name.startswith("codebuddy.training.embedder")]
    assert {"codebuddy.training.head.personal", "codebuddy.training.adapter.fit"} <= set(modules)
    missing = {
        (importer, imported)
        for importer, source in modules.items()
        for imported in _imported_modules(ast.parse(source))
        if imported not in modules
    }
    assert not missing


def _imported_modules(tree: ast.Module) -> Iterator[str]:
    """The modules of codebuddy that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("codebuddy"):
            yield str(node.module)
            names = [f"{node.module}.{each.name}" for each in node.names]
            paths = {name: ROOT / name.replace(".", "/") for name in names}
            yield from (
                name
                for name, path in paths.items()
                if path.is_dir() or path.with_suffix(".py").is_file()
            )
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("codebuddy"))


def _lend_torch(environment: Path, folder: Path) -> None:
    """Let the environment see this one's torch, lest pip fetch the build with GPU libraries."""
    folder.mkdir()
    [metadata] = [d for d in importlib.metadata.distributions() if d.name == "torch"]
    for name in {file.parts[0] for file in metadata.files or [] if file.parts[0] != ".."}:
        (folder / name).symlink_to(Path(str(metadata.locate_file(name))).resolve())
    [site] = environment.glob("lib/python*/site-packages")
    (site / "lent_torch.pth").write_text(f"{folder}\n")


def _lend_llama() -> dict[str, str]:
    """Where pip finds the wheel of llama.cpp that `make setup` compiled, and the usual places."""
    note = Path(sys.prefix) / ".llama-wheel"
    if not note.is_file():
        return {}
    places = [Path(note.read_text(encoding="utf-8").splitlines()[0]).as_uri()]
    return {"PIP_FIND_LINKS": " ".join([*os.environ.get("PIP_FIND_LINKS", "").split(), *places])}


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_wheel_works_in_an_empty_environment(wheel, repository, tmp_path):
    """Installed with its dependencies, it completes with the real model from another folder."""
    environment = tmp_path / "environment"
    venv.create(environment)
    _lend_torch(environment, tmp_path / "lent")
    # By the pip of this one; what is never imported need not be compiled.
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "install", "--no-compile"]
    subprocess.run(
        [*pip, "--quiet", str(wheel)],
        env=os.environ | {"PIP_CACHE_DIR": str(PIP_CACHE)} | _lend_llama(),
        check=True,
        capture_output=True,
        timeout=1400,
    )
    command = str(environment / "bin" / "codebuddy")
    listed = subprocess.run(
        [command, "models", "list", "--json"], cwd=tmp_path, capture_output=True, check=True
    )
    assert "qwen2.5-coder-1.5b" in listed.stdout.decode()
    done = subprocess.run(
        [command, "complete", "cart.py:6", "--max-lines", "1", "--json"],
        cwd=repository,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "amount_cents" in json.loads(done.stdout)["text"]
    where = subprocess.run(
        [str(environment / "bin" / "python"), "-c", "import codebuddy; print(codebuddy.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert str(environment) in where.stdout.decode()
