"""pass@1 on the perturbed HumanEval of ReCode (arXiv 2212.10264), each program run and shut in.

    python -m tests.bench.executed_public DIR --model NAME --rows FILE
        [--functions N] [--per-family K] [--seeds S] [--minutes M] [--table]

DIR is a checkout of github.com/amazon-science/recode (Apache-2.0; HumanEval: MIT). The prompts are
those that it published: whole functions for docstrings and names, half-written ones for syntax and
format. A text is written greedily from the prompt alone, as in the paper, up to what begins at the
line's start again. FILE takes a row of JSON for each prompt that was done, without any code, and
rows that are there are not done again. `--table` prints what they come to and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy.datatypes import GenerationSettings, GenerationStats, Generator
from codebuddy.evaluation.cold import ColdGenerator
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.service.models import open_model
from codebuddy.settings import ModelSettings, Settings
from codebuddy.terminal import StatusLine
from tests.bench.sandbox import run_shut_in

# The families by their folders, and the unperturbed prompts that each was made of.
_FAMILIES = {
    "comments": ("nlaugmenter", "HumanEval.jsonl"),
    "names": ("func_name", "HumanEval.jsonl"),
    "syntax": ("natgen", "humaneval_partial.jsonl"),
    "format": ("format", "humaneval_partial.jsonl"),
}
_MAX_TOKENS = 256
# What ends a function's body: something at the beginning of a line.
_END = re.compile(r"\n(?=[^\s#)\]}])")
_FILE = re.compile(r"humaneval_(\w+)_s(\d+)\.jsonl")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A function to be completed; `family` and `perturbation` are empty as it is."""

    task: str
    nominal: str
    family: str
    perturbation: str
    text: str
    check: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others of a model."""
        return self.task, self.nominal, self.perturbation


def main() -> None:
    """Complete and run what is left, then print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--functions", type=int, default=40)
    parser.add_argument("--per-family", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    rows = read_rows(arguments.rows)
    if not arguments.table:
        chosen = choose(
            arguments.folder, arguments.functions, arguments.per_family, arguments.seeds
        )
        limit = time.monotonic() + arguments.minutes * 60 if arguments.minutes else float("inf")
        run_all(chosen, arguments.model, arguments.rows, rows, limit)
    print("\n".join(lines_of(rows)))


def choose(folder: Path, n_functions: int, per_family: int, n_seeds: int) -> Iterator[Prompt]:
    """Function by function: as it is, then some perturbations of each family that changed it."""
    data = folder / "dataset-release"
    nominal = {name: _read(data / "nominal" / name) for _, name in _FAMILIES.values()}
    perturbed: dict[str, dict[str, dict[str, Any]]] = {}
    for family, (below, _) in _FAMILIES.items():
        files = sorted((data / "perturbed_finalized" / "humaneval" / "full" / below).iterdir())
        perturbed[family] = {
            found[1] + ":" + found[2]: _read(file)
            for file in files
            if (found := _FILE.fullmatch(file.name)) and int(found[2]) < n_seeds
        }
    tasks = sorted(nominal["HumanEval.jsonl"], key=lambda each: int(each.split("/")[1]))
    random.Random(0).shuffle(tasks)
    for task in tasks[:n_functions]:
        for name, of_task in nominal.items():
            if task in of_task:
                yield _prompt(of_task[task], name, "", "")
        for family, (_, name) in _FAMILIES.items():
            before = nominal[name].get(task, {}).get("prompt", "")
            changed = [
                (each, of_task[task])
                for each, of_task in perturbed[family].items()
                if task in of_task and _differs(of_task[task]["prompt"], before, family)
            ]
            random.Random(f"{task}:{family}").shuffle(changed)
            for each, entry in changed[:per_family]:
                yield _prompt(entry, name, family, each)


def _differs(prompt: str, before: str, family: str) -> bool:
    """Whether it was changed; syntax's tools moved white space where they changed nothing."""
    return prompt != before if family == "format" else prompt.split() != before.split()


def _read(file: Path) -> dict[str, Any]:
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    return {each["task_id"]: each for each in entries}


def _prompt(entry: dict[str, Any], nominal: str, family: str, perturbation: str) -> Prompt:
    check = f"{entry['test']}\n\ncheck({entry['entry_point']})\nprint('passed')\n"
    return Prompt(entry["task_id"], nominal, family, perturbation, entry["prompt"], check)


def run_all(
    prompts: Iterator[Prompt], model: str, file: Path, rows: list[dict[str, Any]], limit: float
) -> None:
    """Complete and run each prompt that has no row yet, until `limit` (of `time.monotonic`)."""
    done = {(r["task"], r["nominal"], r["perturbation"]) for r in rows if r["model"] == model}
    opened, _ = open_model(Settings(model=ModelSettings(name=model)), StatusLine())
    # What the KV cache holds can change a text.
    generator = ColdGenerator(opened)
    for prompt in prompts:
        if prompt.key in done:
            continue
        if time.monotonic() > limit:
            break
        row = {
            "model": model,
            "task": prompt.task,
            "nominal": prompt.nominal,
            "family": prompt.family,
            "perturbation": prompt.perturbation,
            "passed": passes(prompt, generator),
        }
        rows.append(row)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        generator.forget()
        print(f"{prompt.task} {prompt.perturbation} {row['passed']}", file=sys.stderr, flush=True)


def passes(prompt: Prompt, generator: Generator) -> bool:
    """Whether the function passes its tests as the model ends it."""
    tokens = [] if generator.bos is None else [generator.bos]
    tokens += generator.tokenize(prompt.text)
    text = ""
    pieces = generator.generate(tokens, GenerationSettings(_MAX_TOKENS), GenerationStats())
    for piece in pieces:
        text += piece
        if _END.search(text.lstrip("\n")):
            break
    pieces.close()  # type: ignore[attr-defined]
    start = len(text) - len(text.lstrip("\n"))
    end = _END.search(text, start)
    body = text[: end.start()] if end else text
    done = run_shut_in(f"{prompt.text}{body}\n\n\n{prompt.check}")
    return done.is_well and done.output.endswith("passed\n")


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows that are there."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    """By model and family, over functions that were changed: pass@1, robust pass, drop, relative.

    Robust: in all versions that were run. Intervals are 95% bootstraps over functions.
    """
    plain = {
        (r["model"], r["task"], r["nominal"]): bool(r["passed"]) for r in rows if not r["family"]
    }
    versions: dict[tuple[str, str], dict[tuple[str, str, str], list[bool]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        key = (row["model"], row["task"], row["nominal"])
        if row["family"] and key in plain:
            versions[row["model"], row["family"]][key].append(bool(row["passed"]))
    cells = []
    for (model, family), of_tasks in versions.items():
        before = [float(plain[key]) for key in of_tasks]
        after = [float(all(each)) for each in of_tasks.values()]
        other = [float(any(v != plain[k] for v in vs)) for k, vs in of_tasks.items()]
        lost = sum(before) - sum(after)
        drop = f"{100 * lost / sum(before):.0f}" if sum(before) else "-"
        n_versions = sum(map(len, of_tasks.values())) / len(of_tasks)
        figures = [_percent(values) for values in (before, after, other)]
        cells.append(
            [model, family, str(len(of_tasks)), f"{n_versions:.1f}", *figures[:2], drop, figures[2]]
        )
    heads = ["model", "family", "functions", "versions", "pass@1 %", "robust pass %", "drop %"]
    return table([*heads, "relative %"], cells)


def _percent(values: list[float]) -> str:
    low, high = mean_interval(values, 0) or (0.0, 0.0)
    return f"{100 * sum(values) / len(values):.1f} [{100 * low:.0f}, {100 * high:.0f}]"


if __name__ == "__main__":
    main()
