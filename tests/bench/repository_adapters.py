"""What an adapter of a repository is worth on code that was written after its training.

    python -m tests.bench.repository_adapters --minutes 60          make bench-repository-adapters

Of each public repository of quality_corpora.toml the last version but one is checked out, an
adapter is trained there, and holes in lines that only the last version has are completed: by the
base, the default adapter and the repository's own, each without lookups and with them where they
seem worth it. Figures go into a file after each hole, and trainings go on by themselves, so that
the same command goes on where it was stopped; another file or model begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.metrics import customization_quality_index, quality
from codebuddy.evaluation.results import EvaluatedMode
from codebuddy.evaluation.runner import make_setup, run_task
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.context import open_policy, repository_context_of_folder
from codebuddy.service.models import open_model
from codebuddy.terminal import StatusLine
from codebuddy.training.own.choosing import choose_files
from codebuddy.vcs.repository import open_repository
from tests.bench.quality_corpora import default_cache, load_corpora, make_repository

PER_KIND = 40
SEED = 3
ARMS: tuple[EvaluatedMode, ...] = ("base_never", "base_auto", "never", "auto")
_MIN_LINE = 6


def main() -> None:
    """Train and measure, repository by repository, then show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training, each")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--only", nargs="*", help="names of repositories")
    parser.add_argument("--holes", type=int, default=PER_KIND, help="of each kind")
    parser.add_argument("--out", type=Path, default=Path("dist/bench-repository-adapters.jsonl"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(exist_ok=True)
    for corpus in load_corpora():
        is_wanted = corpus.use == "bench" and len(corpus.versions) > 1
        if is_wanted and (not arguments.only or corpus.name in arguments.only):
            measure(corpus.name, make_repository(corpus, default_cache()), arguments)
    show(read(arguments.out, arguments.model))


def measure(name: str, source: Path, arguments: argparse.Namespace) -> None:
    """Train at the last version but one; complete holes in what the last one added."""
    root = paths.cache_folder() / "bench-repository-adapters" / name
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        git(source, "clone", "-q", "--no-hardlinks", str(source), str(root))
    last = git(source, "rev-parse", "HEAD").strip()
    before = git(source, "rev-parse", "HEAD~1").strip()
    git(root, "checkout", "-q", "--detach", before)
    trained = subprocess.run(
        [sys.executable, "-m", "codebuddy", "train", "adapter", "--json"]
        + ["--minutes", str(arguments.minutes), "--model", arguments.model],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    if trained.returncode:
        print(f"{name}: not trained", file=sys.stderr)
        return
    outcome = json.loads(trained.stdout)
    # Also one that was found no better is measured: whether the verdict was right.
    use = ["adapters", "use", outcome["adapter"], "--model", arguments.model]
    subprocess.run(
        [sys.executable, "-m", "codebuddy", *use],
        cwd=root,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    git(root, "checkout", "-q", "--detach", last)
    complete(name, root, before, outcome, arguments)


def complete(
    name: str, root: Path, before: str, outcome: dict[str, Any], arguments: argparse.Namespace
) -> None:
    """Add a line for each hole that is not done yet."""
    done = {row["hole"] for row in read(arguments.out, arguments.model)}
    context = repository_context_of_folder(root, {"model.name": arguments.model})
    repository, settings = context.repository, context.settings
    update_index(repository, settings)
    generator, chosen = open_model(settings, StatusLine(), repository)
    assert chosen.adapter is not None, chosen.reason
    policy = open_policy(context, generator, chosen.adapter)
    with RepositoryIndex.open(repository, settings) as index:
        deprecated = choose_files(repository, index, settings.train).deprecated
        setup = make_setup(
            repository,
            index,
            generator,
            settings.completion,
            ARMS,
            SEED,
            policy.head,
            policy.latency,
            chosen.adapter,
        )
        for hole in new_holes(root, before, index, arguments.holes):
            if hole.id in done:
                continue
            arms = run_task(hole, setup).arms
            row = {
                "repository": name,
                "model": arguments.model,
                "adapter": outcome["adapter"],
                "kept": outcome["kept"],
                "loss": outcome["loss"],
                "hole": hole.id,
                "kind": hole.kind,
                "language": hole.language,
                "arms": {
                    arm: result.scores | {"deprecated": deprecated.count(result.text)}
                    for arm, result in arms.items()
                },
            }
            with arguments.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    close = getattr(generator, "close", None)
    assert close is not None
    close()


def new_holes(root: Path, before: str, index: RepositoryIndex, per_kind: int) -> Iterator[Hole]:
    """Holes whose lines the earlier version had nowhere, files in the usual order."""
    known: set[str] = set()
    for path in git(root, "ls-tree", "-r", "--name-only", "-z", before).split("\0"):
        if path.endswith((".py", ".rs", ".ts", ".tsx", ".js", ".go", ".java", ".kt", ".swift")):
            known.update(map(str.strip, git(root, "show", f"{before}:{path}").split("\n")))
    found: defaultdict[str, int] = defaultdict(int)
    for hole in cut_holes(open_repository(root), index, KINDS, 20 * per_kind, SEED):
        start = hole.source.rfind(b"\n", 0, hole.start_byte) + 1
        lines = hole.source[start : hole.end_byte].decode("utf-8", "replace").split("\n")
        told = [each for line in lines if len(each := line.strip()) >= _MIN_LINE]
        if told and not known & set(told) and found[hole.kind] < per_kind:
            found[hole.kind] += 1
            yield hole


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The table: by repository and over all, differences with 95% intervals over holes."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["repository"]].append(row)
    groups["all"] = list(rows)
    print("repository, holes, kept: arm, edit similarity, exact, internal calls, deprecated, CQI")
    for name, group in groups.items():
        if not group:
            continue
        print(f"{name}, {len(group)}, {sum(row['kept'] for row in group)} of a kept adapter")
        base = quality([row["arms"]["base_never"] for row in group])
        for arm in ARMS:
            scores = [row["arms"][arm] for row in group]
            calls = [s["call_recall"] for s in scores if s["call_recall"] is not None]
            of_edits = sum(s["edit_similarity"] for s in scores) / len(scores)
            exact = sum(s["exact_match"] for s in scores) / len(scores)
            called = sum(calls) / len(calls) if calls else float("nan")
            old = sum(s["deprecated"] > 0 for s in scores) / len(scores)
            index = customization_quality_index(quality(scores), base)
            print(f"  {arm:<10} {of_edits:.1f} {exact:.1%} {called:.1%} {old:.1%} {index:.1f}")
        for own, other in (("never", "base_never"), ("auto", "base_auto")):
            won = [
                row["arms"][own]["edit_similarity"] - row["arms"][other]["edit_similarity"]
                for row in group
            ]
            print(f"  {own} over {other}: {sum(won) / len(won):+.1f} {mean_interval(won, SEED)}")


def read(file: Path, model: str) -> list[dict[str, Any]]:
    """The holes that are done with a model."""
    if not file.exists():
        return []
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line]
    return [row for row in rows if row["model"] == model]


def git(folder: Path, *arguments: str) -> str:
    """git's output."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, check=True, timeout=300
    )
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
