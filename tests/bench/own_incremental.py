"""What going on from an adapter costs and wins after 20 commits, beside a training from nothing.

    python -m tests.bench.own_incremental [--model smollm2-135m] [--minutes 10]

In the made-up repository of tests/support/toy_repository.py an adapter is trained. Twenty commits
add a module each, which end their functions in a new way; then one copy of the repository goes on
from that adapter, and another begins anew (`--fresh`). Both are judged by holes in six modules that
neither saw, written in the new way, beside the base and the adapter of before. Prints processor
seconds of each training, edit similarity by arm, and the share of the gain that going on reaches.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from codebuddy.evaluation.results import ModeResult
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.installed import find_model
from codebuddy.inference.own_adapters import base_of, find
from codebuddy.paths import whole_model_name
from codebuddy.service.context import repository_context_of_folder
from codebuddy.service.models import open_generator
from codebuddy.service.refresh import with_index
from codebuddy.terminal import StatusLine
from codebuddy.training.own.choosing import Deprecated
from codebuddy.training.own.judging import BASE, OWN, Trial, complete_holes
from codebuddy.training.own.pausing import PausableClock
from codebuddy.vcs.worktrees import adapters_folder
from tests.support.index import run_git, write
from tests.support.toy_repository import make_house, module_of

SEED = 4
_NEW = (
    "lease bond permit pledge grant claim audit tariff charter docket ledgerline stamp"
    " transfer waiver escrow rebate levy annuity coupon tender"
).split()
_UNSEEN = "warrant premium royalty subsidy dividend mortgage".split()


def main() -> None:
    """Train three times, then compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--minutes", type=float, default=10.0, help="each training at most")
    arguments = parser.parse_args()
    arguments.model = whole_model_name(arguments.model)
    print(f"load {os.getloadavg()[0]:.1f}, {arguments.model}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = make_house(Path(scratch) / "house")
        before = train(root, "before", arguments)
        # A better one takes its place where it lies.
        kept = Path(shutil.copytree(root, Path(scratch) / "kept" / "house"))
        for noun in _NEW:
            commit(root, [noun])
        anew = Path(shutil.copytree(root, Path(scratch) / "anew" / "house"))
        on = train(root, "going on", arguments)
        fresh = train(anew, "fresh", arguments, "--fresh")
        commit(root, _UNSEEN)
        found = {
            "before": complete(kept, before["adapter"], root, arguments.model),
            "going on": complete(root, on["adapter"], root, arguments.model),
            "fresh": complete(anew, fresh["adapter"], root, arguments.model),
        }
    show(found)


def commit(root: Path, nouns: list[str]) -> None:
    """Add a module for each noun, written in the new way."""
    old, new = "return entry.sealed_copy()", "return entry.post_to(book=current_clerk())"
    write(root, {f"house/{noun}s.py": module_of(noun).replace(old, new) for noun in nouns})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", f"Add {nouns[0]}s")


def train(root: Path, name: str, arguments: argparse.Namespace, *more: str) -> dict[str, Any]:
    """The outcome of the command, with what it took."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", "train", "adapter", "--json", *more]
        + ["--minutes", str(arguments.minutes), "--model", arguments.model],
        cwd=root,
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"CODEBUDDY_TRAIN_GIVE_WAY": "false", "PYTHONPATH": str(Path.cwd())},
    )
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
    outcome: dict[str, Any] = json.loads(done.stdout)
    print(
        f"{name}: {seconds:.0f} s of processor time, {outcome['steps']} steps in"
        f" {outcome['seconds']} s, from {outcome['started_from']}, kept {outcome['kept']}",
        flush=True,
    )
    return outcome


def complete(holder: Path, name: str, root: Path, model: str) -> dict[str, list[ModeResult]]:
    """Completions in the unseen modules of `root` by an adapter that lies in `holder`."""
    flags = {"model.name": model}
    folder = adapters_folder(repository_context_of_folder(holder, flags).repository)
    assert folder is not None
    context = repository_context_of_folder(root, flags)
    base = base_of(find_model(model, context.settings))
    adapter = read_adapter(find(folder, name).file, base.header)
    generator = open_generator(context.settings, StatusLine())
    generator.adapters.load(adapter)  # type: ignore[attr-defined]

    def ask(index: Any) -> dict[str, list[ModeResult]]:
        clock = PausableClock(lambda: "", lambda _: None)
        trial = Trial(
            repository=context.repository,
            index=index,
            generator=generator,
            settings=context.settings.completion,
            own=adapter,
            default=None,
            deprecated=Deprecated(),
            seed=SEED,
            clock=clock,
        )
        return complete_holes(trial, [f"house/{noun}s.py" for noun in _UNSEEN], lambda _: None)

    try:
        return with_index(context, ask, should_update=True)
    finally:
        generator.close()  # type: ignore[attr-defined]


def show(found: dict[str, dict[str, list[ModeResult]]]) -> None:
    """Edit similarity by arm, and the share of a new training's gain that going on reaches."""
    edits = {
        name: [float(each.scores["edit_similarity"] or 0.0) for each in arms[OWN]]
        for name, arms in found.items()
    }
    base = [float(each.scores["edit_similarity"] or 0.0) for each in found["fresh"][BASE]]
    print(f"{len(base)} holes; base {statistics.fmean(base):.1f}")
    for name, values in edits.items():
        won = [own - other for own, other in zip(values, base, strict=True)]
        interval = mean_interval(won, SEED)
        print(f"  {name}: {statistics.fmean(values):.1f}, {statistics.fmean(won):+.1f} {interval}")
    gained = {name: statistics.fmean(v) - statistics.fmean(base) for name, v in edits.items()}
    if gained["fresh"] > 0:
        print(f"going on reaches {gained['going on'] / gained['fresh']:.0%} of the gain")
    behind = [a - b for a, b in zip(edits["going on"], edits["fresh"], strict=True)]
    print(f"going on less fresh: {statistics.fmean(behind):+.1f} {mean_interval(behind, SEED)}")


if __name__ == "__main__":
    main()
