"""A repository to stage things in, and what the hook says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from codebuddy.hook import session
from codebuddy.hook.catalog import RULES
from codebuddy.hook.finding import Finding
from codebuddy.hook.lookup import IndexLookup
from codebuddy.hook.review import ReviewResult, review
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import HookSettings, IndexSettings, Settings
from codebuddy.vcs.repository import open_repository

# Contents by path; `None` deletes.
Files = Mapping[str, str | bytes | None]
# The rules use no vectors.
SETTINGS = Settings(index=IndexSettings(embedder="none"))
ALL_RULES = [rule for rule in RULES if not rule.needs_model]


class Project:
    """A scratch repository with one commit."""

    def __init__(self, root: Path, files: Files) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q")
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Begin")

    def git(self, *arguments: str, **environment: str) -> str:
        """git's stdout; a failure fails the test with what git said."""
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            capture_output=True,
            env={**os.environ, **environment},
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8", "surrogateescape")

    def write(self, files: Files) -> None:
        """Write files, or delete those that are `None`."""
        for path, content in files.items():
            file = self.root / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def index(self) -> None:
        """Bring the index up to date with the files as they are."""
        update_index(open_repository(self.root), SETTINGS)

    def stage(self, files: Files) -> None:
        """Write and stage."""
        self.write(files)
        self.git("add", "-A")

    def review(self, hook: HookSettings | None = None, *, has_index: bool = True) -> ReviewResult:
        """What all rules but the model's say of what is staged."""
        repository = open_repository(self.root)
        settings = replace(SETTINGS, hook=hook or HookSettings())
        scope = session.staged(repository, None)
        if not has_index:
            with session.opened(repository, settings, scope, None) as opened:
                return review(opened, ALL_RULES)
        with (
            RepositoryIndex.open(repository, settings) as index,
            session.opened(repository, settings, scope, IndexLookup(index)) as opened,
        ):
            outcome = review(opened, ALL_RULES)
        assert outcome.failed == ()
        return outcome

    def findings(self, rule: str) -> list[Finding]:
        """What `rule` says of what is staged."""
        return [each for each in self.review().findings if each.rule == rule]

    def codebuddy(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the repository."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "codebuddy", *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env={**os.environ, **environment},
            check=False,
        )


def staged_review(
    root: Path,
    before: Files,
    staged: Files,
    rule: str,
) -> list[Finding]:
    """Make a project of `before`, index it, stage `staged`, and return what `rule` says."""
    project = Project(root, before)
    project.index()
    project.stage(staged)
    return project.findings(rule)


def told(findings: list[Finding]) -> list[str]:
    """Each finding as its place and sentence."""
    return [f"{each.path}:{each.line} {each.message}" for each in findings]


def evidence(finding: Finding) -> list[str]:
    """Each place of the evidence."""
    return [f"{each.path}:{each.line}" for each in finding.evidence]
