"""The hosted runs: they call what a developer calls, pin what they use, and may only read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of every job."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


def targets(command: str) -> set[str]:
    """The targets of the calls of make in a shell command."""
    return {
        word
        for line in command.splitlines()
        if line.startswith("make ")
        for word in line.split()[1:]
        if "=" not in word
    }


@pytest.fixture(params=WORKFLOWS, ids=lambda file: file.name)
def workflow(request: pytest.FixtureRequest) -> Any:
    """A workflow, parsed."""
    return yaml.safe_load(request.param.read_text(encoding="utf-8"))


def test_every_target_that_a_workflow_calls_exists(workflow):
    """Hosted runs use targets of the Makefile, the fast tests and all of them."""
    called = {name for step in steps(workflow) for name in targets(step.get("run", ""))}
    assert called == {"test", "test-fast"}
    assert called <= TARGETS


def test_a_clean_clone_runs_what_the_hosted_runs_do():
    """`.ci/run` calls a target that exists, and that the workflow calls too."""
    assert targets((ROOT / ".ci" / "run").read_text(encoding="utf-8")) == {"test"}
    assert "test" in TARGETS


def test_actions_are_pinned_and_may_only_read(workflow):
    """Each action by a commit, with its version beside it; no token that can write."""
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []
    assert workflow["permissions"] == {"contents": "read"}
    assert not [job for job in workflow["jobs"].values() if "permissions" in job]
    kept = [step["with"] for step in steps(workflow) if "actions/checkout@" in step.get("uses", "")]
    assert all(each["persist-credentials"] is False for each in kept)


def test_every_supported_python_is_run(workflow):
    """From the oldest that pyproject.toml allows to the newest that it names."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    matrix = workflow["jobs"]["fast"]["strategy"]["matrix"]
    assert matrix["python"][0] == re.findall(r'requires-python = ">=(3\.\d+)"', project)[0]
    assert set(named) <= set(matrix["python"])
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
