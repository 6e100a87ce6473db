"""A repository's history, replayed: what the hook's rules say of its commits, and who was right.

What is counted as right is said in `bench_hook.py`, which runs this over repositories.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codebuddy.hook import session
from codebuddy.hook.catalog import LintRule
from codebuddy.hook.finding import Finding
from codebuddy.hook.lookup import IndexLookup
from codebuddy.hook.review import Review, ReviewResult, review
from codebuddy.hook.state import SourceFile
from codebuddy.index.build import update_index
from codebuddy.index.file_role import role_of
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import IndexSettings, Settings
from codebuddy.syntax.signatures import Signature, signature_at
from codebuddy.vcs.plumbing import Revision
from codebuddy.vcs.repository import Repository, open_repository

# How far a later commit may be and still count as putting a finding right.
LATER_COMMITS = 60
_MAX_FILES = 40
_MAX_PARTS = 4
_HEADER = r"^[ \t]*(async )?(def|class) "
_REMOVED_HEADER = re.compile(r"(?m)^-[ \t]*(?:async )?(?:def|class) (\w+)")
_REMOVED_USE = re.compile(r"(?m)^-(?![ \t]*(?:async )?(?:def|class) ).*?\b(\w+)\(")
_GONE_FILE = re.compile(r"(\S+\.\w+) is (?:deleted|renamed)")
_MOST_READ = 4000
_CALL_RULES = ("CB101", "CB102", "CB103")
# By path: numbers and texts of lines that a commit takes away.
Gone = dict[str, tuple[set[int], set[str]]]
# The text of a file of some commit.
Read = Callable[[str], str]
_LONGEST_CALL = 60


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """git's output."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.decode("utf-8", "surrogateescape")


class Replay:
    """One repository's history, replayed."""

    def __init__(self, source: Path, folder: Path, rules: list[LintRule]) -> None:
        self.root = folder / "tree"
        git(folder, "clone", "-q", "--shared", "--no-checkout", str(source), str(self.root))
        self.rules = rules
        # The rules use no vectors.
        self.settings = Settings(index=IndexSettings(embedder="none"))
        self.index_file = folder / "partial-index"
        self._repository: Repository | None = None

    def commits(self, count: int, choice: str) -> list[tuple[str, list[str]]]:
        """The last commits that are no merges, the oldest first, each with those that followed.

        Args:
            count: How many.
            choice: `all`; `defining`: those that touch the header of a Python definition;
                `following`: those that change such a header and, in another file, a line
                that calls or imports the name.
        """
        every = git(self.root, "log", "--no-merges", "--format=%H").split()[::-1]
        place = {commit: number for number, commit in enumerate(every)}
        chosen = every
        if choice == "following":
            following = self._following()
            chosen = [commit for commit in every if commit in following]
        elif choice == "defining":
            options = ("--no-merges", "--format=%H", "-G", _HEADER, "--", "*.py")
            found = set(git(self.root, "log", *options).split())
            chosen = [commit for commit in every if commit in found]
        # What came last has no history yet that could prove it right.
        chosen = [each for each in chosen if place[each] + LATER_COMMITS < len(every)] or chosen
        return [
            (each, every[place[each] + 1 : place[each] + 1 + LATER_COMMITS])
            for each in chosen[-count:]
        ]

    def _following(self) -> set[str]:
        """Commits in which lines of one file seem to follow a definition of another."""
        options = ("--no-merges", "-p", "-U0", "--no-color", "--no-ext-diff", "--no-renames")
        text = git(self.root, "log", f"-{_MOST_READ}", *options, "--format=%x01%H", "--", "*.py")
        found = set()
        for part in text.split("\x01")[1:]:
            files = part.split("\ndiff --git ")
            headers = [set(_REMOVED_HEADER.findall(each)) for each in files]
            used = [set(_REMOVED_USE.findall(each)) for each in files]
            if any(
                headers[one] & used[two]
                for one in range(1, len(files))
                for two in range(1, len(files))
                if one != two
            ):
                found.add(part[:40])
        return found

    def check_out(self, commit: str) -> tuple[Repository, RepositoryIndex]:
        """The state of `commit` with its index."""
        git(self.root, "checkout", "-q", "--force", "--detach", commit)
        if self._repository is None:
            self._repository = open_repository(self.root)
        update_index(self._repository, self.settings)
        return self._repository, RepositoryIndex.open(self._repository, self.settings)

    def review(
        self, repository: Repository, index: RepositoryIndex, scope: session.Scope, rest: Gone
    ) -> tuple[ReviewResult, set[str]]:
        """What the rules say of `scope`, and what it would take to be complete."""
        with session.opened(repository, self.settings, scope, IndexLookup(index)) as opened:
            return review(opened, self.rules), set(_broken_names(opened, rest))

    def reader(self, commit: str) -> Read:
        """Reads files of `commit`."""
        return lambda path: git(self.root, "show", f"{commit}:{path}")

    def partial(self, parent: str, commit: str, path: str) -> Revision:
        """The state of `parent` with one file as in `commit`."""
        self.index_file.unlink(missing_ok=True)
        environment = {"GIT_INDEX_FILE": str(self.index_file)}
        git(self.root, "read-tree", parent, **environment)
        entry = git(self.root, "ls-tree", commit, "--", path).strip()
        if entry:
            mode, _, rest = entry.partition(" ")
            value = f"{mode},{rest.split()[1]},{path}"
            git(self.root, "update-index", "--add", "--cacheinfo", value, **environment)
        else:
            git(self.root, "update-index", "--force-remove", "--", path, **environment)
        return Revision(index_file=self.index_file)


def _broken_names(opened: Review, rest: Gone) -> Iterator[str]:
    """Names that this change breaks for lines which the rest of the commit changes."""
    for change in opened.state.changes:
        old = opened.state.old_file(change.old_path) if change.old_path else None
        if old is None or old.language != "python":
            continue
        if role_of(change.old_path, old.source) in ("vendored", "generated"):
            continue
        new = opened.state.file(change.path) if change.path else None
        after = new.top_level() if new else {}
        for name, definition in old.top_level().items():
            if name not in after:
                if new is not None and opened.resolver.provides(new.path, name):
                    # It is imported from elsewhere now.
                    continue
                # A fixture of pytest's is used by its name alone, which no import shows.
                pattern = rf"import.*\b{name}\b|[\w)]\.{name}\b"
                texts = [text for path in rest if path.endswith(".py") for text in rest[path][1]]
                if any(re.search(pattern, text) for text in texts):
                    yield f"CB102 {name}"
            elif new is not None and definition.kind == "function":
                one, two = _signature(old, name), _signature(new, name)
                if one and two and any(_misfits(opened, rest, name, one, two)):
                    yield f"CB101 {name}"


def _misfits(
    opened: Review, rest: Gone, name: str, old: Signature, new: Signature
) -> Iterator[bool]:
    """For each call in a line that the rest changes, whether it fitted and no longer does."""
    for path, (numbers, _) in rest.items():
        file = opened.state.file(path)
        for each in file.occurrences([name]) if file else ():
            if each.arguments is not None and each.line in numbers:
                yield not old.mismatch(each.arguments) and bool(new.mismatch(each.arguments))


def _signature(file: SourceFile, name: str) -> Signature | None:
    extent = file.top_level()[name].extent
    return None if file.tree is None else signature_at(file.tree, file.source, extent)


def changed_lines(root: Path, parent: str, commit: str) -> Gone:
    """By path: the lines of `parent` that `commit` takes away, by number and by text."""
    found: Gone = defaultdict(lambda: (set(), set()))
    path, number = "", 0
    options = ("-U0", "--no-color", "--no-ext-diff", "--no-renames", "--src-prefix=a/")
    for line in git(root, "diff", *options, parent, commit).split("\n"):
        if line.startswith("--- "):
            path = line[6:] if line.startswith("--- a/") else ""
        elif line.startswith("@@"):
            number = int(line.split()[1].split(",")[0][1:])
        elif line.startswith("-") and path:
            found[path][0].add(number)
            found[path][1].add(line[1:].strip())
            number += 1
    return found


def one_commit(history: Replay, commit: str, later: list[str]) -> dict[str, Any] | None:
    """What the rules say of the commit and of its parts, and which of it history proves."""
    parents = git(history.root, "rev-list", "--parents", "-1", commit).split()[1:]
    if len(parents) != 1:
        return None
    parent = parents[0]
    names = git(history.root, "diff", "--name-only", "-z", "--no-renames", parent, commit)
    paths = [name for name in names.split("\0") if name]
    if not 0 < len(paths) <= _MAX_FILES:
        return None
    repository, index = history.check_out(parent)
    with index:
        started = time.perf_counter()
        outcome, _ = history.review(
            repository, index, session.Scope(parent, Revision(commit), 10_000), {}
        )
        row: dict[str, Any] = {"commit": commit, "files": len(paths), "failed": outcome.failed}
        row["review_ms"] = (time.perf_counter() - started) * 1000
        row["timings_ms"] = outcome.timings_ms
        row["whole"] = [
            {**_item(each), "right": _is_right_later(history.root, commit, later, each)}
            for each in outcome.findings
        ]
        row["partial"] = []
        if len(paths) > 1:
            gone = changed_lines(history.root, parent, commit)
            code = [path for path in paths if path.endswith((".py", ".ts", ".js", ".tsx"))]
            for path in code[:_MAX_PARTS]:
                scope = session.Scope(parent, history.partial(parent, commit, path))
                rest: Gone = {other: (set(), set()) for other in paths}
                rest.update(gone)
                del rest[path]
                part = history.review(repository, index, scope, rest)
                read = history.reader(parent)
                row["partial"].append(_judged(path, part, rest, outcome, read))
    return row


def _item(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "place": f"{finding.path}:{finding.line}",
        "message": finding.message,
        "evidence": [[each.path, each.line, each.text] for each in finding.evidence],
        "confidence": finding.confidence,
    }


def _judged(
    path: str, part: tuple[ReviewResult, set[str]], rest: Gone, whole: ReviewResult, read: Read
) -> dict[str, Any]:
    """The findings of a part, each right or wrong by the rest of its commit.

    Args:
        path: The one file that was changed.
        part: What the rules said, and what it would take to be complete.
        rest: The lines that the rest of the commit takes away, by path.
        whole: What the rules said of the whole commit.
        read: The text of a file before the commit.
    """
    outcome, expected = part
    # Of a file that the whole commit renames, a part says that it is deleted.
    in_whole = {(each.rule, each.message.split()[0]) for each in whole.findings}
    judged = []
    for each in outcome.findings:
        if each.rule not in _CALL_RULES or (each.rule, each.message.split()[0]) in in_whole:
            # Said of the whole commit too: judged there.
            continue
        # Of CB103 the whole commit has none: the rest of it adds what is imported.
        is_right = each.rule == "CB103" or _changes_a_place(rest, each, read)
        judged.append({**_item(each), "right": is_right})
    found = {
        name
        for name in expected
        if any(
            each.rule in _CALL_RULES and re.search(rf"\b{name[6:]}\b", each.message)
            for each in outcome.findings
        )
    }
    return {"path": path, "judged": judged, "expected": sorted(expected), "found": sorted(found)}


def _is_right_later(root: Path, commit: str, later: list[str], finding: Finding) -> bool:
    """Whether a following commit changes what the finding points at."""
    if not later:
        return False
    gone = changed_lines(root, commit, later[-1])
    own = gone.get(finding.path, (set(), set()))
    gone_file = _GONE_FILE.match(finding.message)
    if gone_file and _is_there(root, later[-1], gone_file[1]):
        return True
    if finding.rule not in _CALL_RULES:
        return finding.line in own[0]
    return _changes_a_place(gone, finding, lambda path: git(root, "show", f"{commit}:{path}"))


def _changes_a_place(gone: Gone, finding: Finding, read: Read) -> bool:
    """Whether one of the calls or lines that the finding points at is taken away or changed."""
    for each in finding.evidence:
        numbers = gone.get(each.path, (set(), set()))[0]
        if each.line in numbers:
            return True
        if numbers and not numbers.isdisjoint(_extent(read(each.path).split("\n"), each.line)):
            return True
    return False


def _extent(lines: list[str], first: int) -> range:
    """The lines of a call that begins on line `first`: until its brackets are closed."""
    depth = 0
    for number in range(first, min(len(lines), first + _LONGEST_CALL) + 1):
        depth += sum(map(lines[number - 1].count, "([{"))
        depth -= sum(map(lines[number - 1].count, ")]}"))
        if depth <= 0:
            return range(first, number + 1)
    return range(first, first + 1)


def _is_there(root: Path, commit: str, path: str) -> bool:
    """Whether a file that was missed is back."""
    return bool(git(root, "ls-tree", "--name-only", commit, "--", path).strip())
