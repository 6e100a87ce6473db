"""The architecture, checked: heavy libraries have one home, steps do not know each other."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "codebuddy"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A library, and the only modules that may import it, at module level or inside a function.
HOMES = {
    "llama_cpp": {"inference/llama_library.py"},
    "tree_sitter": {"syntax/"},
    "rank_bm25": {"index/sparse.py"},
    "git": {"vcs/repository.py"},
    "huggingface_hub": {"index/embedder_names.py", "inference/fetch_child.py"},
    "sqlite3": {"index/"},
    "flwr": {"federation/"},
    "matplotlib": {"evaluation/plot.py"},
    "mcp": {"serve/agents/server.py", "serve/agents/transports.py"},
    "mcp_types": {"serve/agents/server.py"},
    "opacus": {"federation/privacy.py", "training/privacy.py"},
    "pygls": {"serve/"},
    "ray": {"fleet/ray_runner.py"},
    "regex": {"tui/text/find.py"},
    "safetensors": {"index/encoder.py", "training/"},
    "sentence_transformers": {"index/encoder.py", "training/"},
    "scipy": {"training/audit/attacks.py"},
    "sklearn": {"training/"},
    "starlette": {"engine/", "serve/"},
    "tokenizers": {"index/encoder.py", "training/"},
    "torch": {"training/"},
    "uvicorn": {"engine/", "serve/"},
    "textual": {"tui/"},
}
# Not imported before they are used: `codebuddy --help` must stay instant.
HEAVY = {
    "flwr",
    "ray",
    "numpy",
    "psutil",
    "rich",
    "llama_cpp",
    "git",
    "rank_bm25",
    "torch",
    "textual",
    "mcp",
}
STEPS = {"context", "decision", "retrieval", "prompt", "extent", "postprocess", "document"}
# The one step that may use another: the filters share the bracket count.
ALLOWED_STEPS = {("postprocess", "extent")}


@functools.cache
def imported(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_has_one_home(library):
    """Each heavy library is imported in its home only."""
    users = {
        file.relative_to(PACKAGE).as_posix()
        for file in MODULES
        if any(name == library or name.startswith(library + ".") for name in imported(file))
    }
    homes = HOMES[library]
    assert not {user for user in users if not any(user.startswith(home) for home in homes)}


def test_no_step_knows_another():
    """Steps of the path take and return datatypes; only the pipeline knows their order."""
    found = set()
    for step in STEPS:
        for name in imported(PACKAGE / "completion" / f"{step}.py"):
            package, _, other = name.rpartition(".")
            if package == "codebuddy.completion" and other in STEPS:
                found.add((step, other))
    assert found <= ALLOWED_STEPS


@pytest.mark.parametrize(
    "leaf",
    [
        "errors",
        "cancellation",
        "datatypes",
        "code_index",
        "positions",
        "paths",
        "settings",
        "config",
        "source_text",
        "user_file",
        "bounded_toml",
        "isolation",
        "platforms",
        "private_files",
    ],
)
def test_leaves_know_only_leaves(leaf):
    """The leaves import nothing of the project but each other."""
    names = ("errors", "cancellation", "datatypes", "positions", "paths", "settings")
    files = ("isolation", "platforms", "private_files")
    leaves = {f"codebuddy.{name}" for name in (*names, *files)}
    of_project = {n for n in imported(PACKAGE / f"{leaf}.py") if n.startswith("codebuddy.")}
    assert of_project <= leaves


@pytest.mark.process
@pytest.mark.parametrize(
    "module",
    [
        "codebuddy.cli",
        "codebuddy.commands.complete",
        "codebuddy.commands.search",
        "codebuddy.commands.fleet",
        "codebuddy.commands.federate",
        "codebuddy.commands.mcp",
    ],
)
def test_importing_a_command_imports_nothing_heavy(module):
    """The command line starts without any heavy library."""
    program = f"import sys, {module}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.process
def test_a_search_in_this_process_loads_nothing_that_decides_or_completes():
    """The service imports heads and the pipeline when a completion is asked for."""
    modules = "codebuddy.service.in_process_client, codebuddy.index.search_response"
    program = f"import sys, {modules}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "codebuddy.service.completion_service" in loaded
    assert not {"codebuddy.heads", "codebuddy.completion.pipeline"} & loaded


def test_files_and_functions_stay_readable():
    """No file passes 400 lines and no function 60."""
    too_long = []
    for file in MODULES:
        text = file.read_text(encoding="utf-8")
        if text.count("\n") > 400:
            too_long.append(file.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > 60:
                    too_long.append(f"{file.name}:{node.name} {length}")
    assert too_long == []


def test_models_is_found_as_package_data_or_in_the_checkout():
    """The catalog lies where the code looks for it."""
    from codebuddy import paths

    assert (paths.shipped_models_folder() / "catalog.toml").is_file()


def test_the_pipelines_resources_are_put_together_in_three_places():
    """Every front door completes through the service; runs without one are named here."""
    made = set()
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id == "PipelineResources":
                made.add(file.relative_to(PACKAGE).as_posix())
    assert made == {"service/target.py", "evaluation/runner.py", "training/head/labels.py"}
