"""How right the hook's rules are, on commits of real repositories, and how long a commit waits.

    python -m tests.bench_hook replay --repository DIR [--commits N] [--choose WHICH] [--out FILE]
    python -m tests.bench_hook report FILE...
    python -m tests.bench_hook latency --repository DIR [--commits ROUNDS]

`replay` goes through a repository's history, oldest first, with the index of the state before
each commit, and reviews two kinds of change:

- whole: the commit as it was made. Its project accepted it, so what a rule says of it counts
  as right only if the following commits change what it points at.
- partial: of a commit that changed several files, one file's change alone, the others as they
  were: callers, imports and partners have really been forgotten, and the rest of the commit
  is the history that puts them right. A finding is right if the rest of the commit changes
  one of the lines that it points at (for CB105: the file that it names; for CB103: if the
  rest adds what is imported, so that the whole commit has no such finding).

Recall is counted on partial changes only: of the names that the one file no longer has while
the rest of the commit changes lines that import or qualify them (CB102), and of the functions
with calls that no longer fit and that the rest of the commit changes (CB101), the share with a
finding. Results are appended as lines of JSON; a run that is started again goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from codebuddy.hook import session
from codebuddy.hook.catalog import RULES, Rule
from codebuddy.hook.finding import Finding
from codebuddy.hook.lookup import IndexLookup
from codebuddy.hook.review import Outcome, Review, review
from codebuddy.hook.state import SourceFile
from codebuddy.index.build import update_index
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
_MOST_READ = 4000
_CALL_RULES = ("CB101", "CB102", "CB103")
# By path: numbers and texts of lines that a commit takes away.
Gone = dict[str, tuple[set[int], set[str]]]


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

    def __init__(self, source: Path, folder: Path, rules: list[Rule]) -> None:
        self.root = folder / "tree"
        git(folder, "clone", "-q", "--shared", "--no-checkout", str(source), str(self.root))
        self.rules = rules
        # The rules use no vectors.
        self.settings = Settings(index=IndexSettings(embedder="none"))
        self.index_file = folder / "partial-index"
        self._repository: Repository | None = None
        self._history: list[tuple[str, list[bytes]]] = []

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
        # Asked for once, not once for each part of the commit.
        self._history = self._repository.recent_changes(session.HISTORY_COMMITS)
        return self._repository, RepositoryIndex.open(self._repository, self.settings)

    def review(
        self, repository: Repository, index: RepositoryIndex, scope: session.Scope, rest: Gone
    ) -> tuple[Outcome, set[str]]:
        """What the rules say of `scope`, and what it would take to be complete."""
        with session.opened(repository, self.settings, scope, IndexLookup(index)) as opened:
            opened.history = lambda: self._history
            return review(opened, self.rules), set(_broken_names(opened, rest))

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
        new = opened.state.file(change.path) if change.path else None
        after = new.top_level() if new else {}
        for name, definition in old.top_level().items():
            if name not in after:
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


def replay(source: Path, n_commits: int, out: Path, rules: list[Rule], choice: str) -> None:
    """Append what the rules say of each commit to `out`."""
    done = {row["commit"] for row in _rows([out])} if out.exists() else set()
    with tempfile.TemporaryDirectory(prefix="bench-hook-") as folder, out.open("a") as stream:
        history = Replay(source, Path(folder), rules)
        for commit, later in history.commits(n_commits, choice):
            row = None if commit in done else one_commit(history, commit, later)
            if row is not None:
                stream.write(json.dumps({"repository": source.parent.name, **row}) + "\n")
                stream.flush()


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
                rest = {other: lines for other, lines in gone.items() if other != path}
                part = history.review(repository, index, scope, rest)
                others = set(paths) - {path}
                row["partial"].append(_judged(path, *part, rest, others, outcome))
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
    path: str, outcome: Outcome, expected: set[str], rest: Gone, others: set[str], whole: Outcome
) -> dict[str, Any]:
    """The findings of a part, each right or wrong by the rest of its commit."""
    in_whole = {(each.rule, each.message) for each in whole.findings}
    judged = []
    for each in outcome.findings:
        if each.rule not in (*_CALL_RULES, "CB105") or (each.rule, each.message) in in_whole:
            # Said of the whole commit too: judged there.
            continue
        if each.rule == "CB105":
            is_right = any(evidence.path in others for evidence in each.evidence)
        elif each.rule == "CB103":
            # The whole commit does not have it: the rest of it adds what is imported.
            is_right = True
        else:
            is_right = any(
                evidence.line in rest.get(evidence.path, (set(), set()))[0]
                for evidence in each.evidence
            )
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
    if finding.rule == "CB107":
        name = finding.message.partition("(")[0]
        return _appears_in_tests(root, later, name)
    if finding.rule == "CB105":
        near = later[:10]
        touched = git(root, "log", "--format=", "--name-only", "--no-walk", *near) if near else ""
        return any(each.path in touched.split("\n") for each in finding.evidence)
    if not later:
        return False
    gone = changed_lines(root, commit, later[-1])
    own = gone.get(finding.path, (set(), set()))
    if finding.rule not in _CALL_RULES:
        return finding.line in own[0]
    return any(each.line in gone.get(each.path, (set(), set()))[0] for each in finding.evidence)


def _appears_in_tests(root: Path, later: list[str], name: str) -> bool:
    if not later:
        return False
    done = subprocess.run(
        ["git", "-C", str(root), "grep", "-q", "-w", "-F", name, later[-1], "--", "*test*"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _rows(files: list[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        for line in file.read_text().splitlines():
            yield json.loads(line)


def report(files: list[Path], *, is_verbose: bool) -> None:
    """Precision and recall of each rule over the replayed commits."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    n_commits = n_parts = 0
    for row in _rows(files):
        n_commits += 1
        for each in row["whole"]:
            counts[each["rule"]]["whole right" if each["right"] else "whole wrong"] += 1
            if is_verbose:
                print(row["repository"], row["commit"][:10], "whole", each)
        for part in row["partial"]:
            n_parts += 1
            for each in part["judged"]:
                counts[each["rule"]]["part right" if each["right"] else "part wrong"] += 1
                if is_verbose and not each["right"]:
                    print(row["repository"], row["commit"][:10], "part", part["path"], each)
            # A file that is gone is told once, not for each of its names.
            is_told = any(part["path"] in each["message"] for each in part["judged"])
            for name in part["expected"]:
                is_found = is_told or name in part["found"]
                expected[name[:5]][0] += 1
                expected[name[:5]][1] += is_found
                if is_verbose and not is_found:
                    print(row["repository"], row["commit"][:10], "missed", part["path"], name)
    print(f"{n_commits} commits, {n_parts} partial changes of {len(files)} repositories")
    print("| rule | partial: right / said | whole: put right later / said | recall |")
    print("|---|--:|--:|--:|")
    for rule in RULES:
        c = counts[rule.id]
        part = f"{c['part right']} / {c['part right'] + c['part wrong']}"
        whole = f"{c['whole right']} / {c['whole right'] + c['whole wrong']}"
        n, n_found = expected[rule.id]
        print(f"| {rule.id} {rule.name} | {part} | {whole} | {n_found} / {n} |")
    failed = {tuple(each) for row in _rows(files) for each in row["failed"]}
    for each in sorted(failed):
        print("failed:", each)


def latency(source: Path, n_rounds: int) -> None:
    """Seconds that a commit of 20 files takes without the hook and with it, in turns.

    Each file gets a new function and a changed one; the hook's process is cold.
    """
    with tempfile.TemporaryDirectory(prefix="bench-hook-") as folder:
        history = Replay(source, Path(folder), [])
        root = history.root
        repository, index = history.check_out(git(root, "rev-parse", "origin/HEAD").strip())
        with index:
            n_lines = index.stats().lines
        subprocess.run([*_COMMAND, "-C", str(root), "hook", "install"], check=True)
        for name, value in (("user.name", "bench"), ("user.email", "bench@example.org")):
            git(root, "config", name, value)
        listed = [path.decode() for path in repository.list_files() if path.endswith(b".py")]
        for path in sorted(listed, key=lambda each: -(root / each).stat().st_size)[:20]:
            file = root / path
            text = file.read_text(encoding="utf-8")
            file.write_text(re.sub(r"(?m)^(def \w+\()", r"\1added, ", text, count=1) + _ADDED)
        git(root, "add", "-A")
        timed: dict[str, list[float]] = {"without": [], "with": []}
        cpu: dict[str, list[float]] = {"without": [], "with": []}
        for _ in range(n_rounds):
            for kind, flags in (("without", ["--no-verify"]), ("with", [])):
                started, before = time.perf_counter(), os.times()
                git(root, "commit", "-q", "-m", kind, *flags)
                timed[kind].append(time.perf_counter() - started)
                after = os.times()
                used = after.children_user + after.children_system
                cpu[kind].append(used - before.children_user - before.children_system)
                git(root, "reset", "-q", "--soft", "HEAD^")
        print(f"{source.parent.name}: {n_lines} lines, a commit of 20 files, {n_rounds} rounds")
        for kind, times in timed.items():
            ordered = sorted(times)
            p95 = ordered[int(0.95 * (len(ordered) - 1))]
            middle, own = statistics.median(times), statistics.median(cpu[kind])
            print(f"{kind}: median {middle:.3f} s, p95 {p95:.3f} s, of the processor {own:.3f} s")
        scope = session.staged(repository, None)
        with RepositoryIndex.open(repository, history.settings) as warm:
            history.rules = session.without_model([rule for rule in RULES if rule.is_on])
            times = []
            for _ in range(n_rounds):
                started = time.perf_counter()
                outcome, _ = history.review(repository, warm, scope, {})
                times.append(time.perf_counter() - started)
        print(f"the review alone, index open: median {statistics.median(times):.3f} s")
        print(f"{len(outcome.findings)} findings; ms by rule: {outcome.timings_ms}")


_COMMAND = [sys.executable, "-P", "-m", "codebuddy"]
_ADDED = (
    "\n\ndef newly_added(values):\n    total = 0\n    for value in values:\n"
    "        total += value\n    return total\n"
)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("replay", "latency"):
        one = verbs.add_parser(verb)
        one.add_argument("--repository", type=Path, default=Path(__file__).parent.parent)
        one.add_argument("--commits", type=int, default=100)
        one.add_argument("--choose", choices=["all", "defining", "following"], default="all")
        one.add_argument("--out", type=Path, default=Path("bench-hook.jsonl"))
    told = verbs.add_parser("report")
    told.add_argument("files", nargs="+", type=Path)
    told.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    if arguments.verb == "report":
        report(arguments.files, is_verbose=arguments.verbose)
    elif arguments.verb == "latency":
        latency(arguments.repository, arguments.commits)
    else:
        # All rules but the model's, those that are off too.
        rules = [replace(rule, is_on=True) for rule in session.without_model(RULES)]
        folder, count = arguments.repository, arguments.commits
        replay(folder, count, arguments.out, rules, arguments.choose)


if __name__ == "__main__":
    main()
