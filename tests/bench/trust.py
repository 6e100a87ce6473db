"""What plain and private training remember, and what each is worth: `python -m tests.bench.trust`.

By arms, an adapter is trained on half of a public repository's files with secrets planted among
the samples, and attacked by the very parts that `codebuddy audit adapter` consists of. All arms
share samples, the reading of prompts and the base's own figures; weights and rows are written as
they come to dist/trust, so that the same command goes on where it was stopped. A table is printed
after each arm. One thread; times are of the processor.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codebuddy.evaluation.metrics import edit_similarity
from codebuddy.evaluation.statistics import draws, mean_interval
from codebuddy.inference.gguf import read_header
from codebuddy.training.adapter import base_model, fit, run_state
from codebuddy.training.adapter.packing import SampleGroup, pack_middles
from codebuddy.training.audit.attacks import Scored, Told, epsilon_at_least, tell
from codebuddy.training.audit.findings import canary_row, membership_of, recitation_of
from codebuddy.training.audit.rows import Rows
from codebuddy.training.audit.run import middles_as_json, secret_as_json
from codebuddy.training.audit.scoring import score_middles, score_secret
from codebuddy.training.own import fitting, private
from codebuddy.training.own.pausing import PausableClock
from codebuddy.training.privacy import Goal, plan_for
from tests.bench.quality_corpora import default_cache, load_corpora, make_repository
from tests.bench.trust_material import Material, material

FOLDER = Path("dist/trust")
# None: plain. 0: nothing but code of elsewhere, with which private training begins.
ARMS: dict[str, float | None] = {
    "plain": None,
    "epsilon-8": 8.0,
    "elsewhere": 0.0,
    "epsilon-2": 2.0,
    "epsilon-32": 32.0,
}
SEED = 0
_WRITTEN_GROUPS, _WRITTEN_TOKENS = 8, 16
_KEPT_BYTES = 6 << 30
_DEVICE = "cpu"


class Bench:
    """The model, the samples, and what is known of them already."""

    def __init__(self, found: Material, folder: Path, threads: int = 1) -> None:
        import torch

        torch.set_num_threads(threads)
        self.material, self.folder = found, folder
        self._told_s = 0.0
        self.parameters = fitting.parameters_of(read_header(found.base))
        rate = fitting.rate_for(self.parameters)
        self.config = fit.AdapterConfig(fitting.NAME, fitting.RANK, tuple(base_model.LINEAR), rate)
        wish = fitting.Wish(found.base, folder, math.inf, fitting.RANK, rate, SEED)
        self.say("reading the model")
        self.model = fitting.model_with(wish, self.config)
        run_state.write_weights(self.model, folder / "untrained.weights", 0.0)
        self.prompts = fit.PromptCache(self.model, _DEVICE, _KEPT_BYTES)
        self._base: dict[int, list[fit.MiddleLoss]] = {}

    def say(self, what: str) -> None:
        """Tell how far it is, now and then."""
        if time.monotonic() - self._told_s > 10:
            self._told_s = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)

    def learned(self) -> list[SampleGroup]:
        """The samples of the repository with the canaries among them."""
        groups = list(self.material.groups["members"])
        for number, each in enumerate(self.material.canaries):
            groups += [self.material.groups["canaries"][2 * number]] * each["repeats"]
        return groups

    def train(self, arm: str) -> dict[str, Any]:
        """The arm's weights in the model, trained or from the file; facts about the training."""
        kept, rows = self.folder / f"{arm}.weights", Rows(self.folder / f"{arm}.jsonl")
        wanted = ARMS[arm]
        groups = self.material.groups["library"] if wanted == 0 else self.learned()
        for group in groups:
            self.prompts.read(group)
            self.say(f"{arm}: reading")
        if not kept.exists():
            begun = "untrained" if wanted in (None, 0) else self.need("elsewhere")
            self.take_up(begun)

            def train() -> dict[str, Any]:
                return self._plainly(arm) if wanted in (None, 0) else self._privately(arm)

            rows.once("training", train)
            run_state.write_weights(self.model, kept, 0.0)
        self.take_up(arm)
        return rows.once("training", dict)

    def need(self, arm: str) -> str:
        """The arm, trained."""
        self.train(arm)
        return arm

    def take_up(self, arm: str) -> None:
        """Give the model the weights of a file."""
        kept = run_state.read_weights(self.folder / f"{arm}.weights")
        assert kept is not None
        run_state.put_weights(self.model, kept[1])

    def _plainly(self, arm: str) -> dict[str, Any]:
        groups = list(self.material.groups["library"])
        if arm == "plain":
            groups = self.learned() + groups[: len(self.learned()) // 8]
        plan = fit.TrainingPlan(
            seed=SEED,
            seconds=math.inf,
            state=self.folder / f"{arm}.state",
            passes=fitting.PASSES,
            warm_up_steps=5,
        )
        started, done = time.process_time(), [0]

        def tell(step: int, share: float, losses: Mapping[str, float]) -> None:
            done[0] += plan.groups_per_step
            self.say(f"{arm}: {share:.0%}, loss {losses[fitting.NAME]:.3f}")

        for each in self.model.parameters():
            each.requires_grad_(requires_grad=False)
        for name, each in self.model.named_parameters():
            each.requires_grad_(requires_grad="lora_" in name)
        steps, _ = fit.train(
            self.model,
            [self.config],
            groups,
            self.material.endings,
            plan,
            _DEVICE,
            tell,
            self.prompts,
        )
        spent = time.process_time() - started
        return {"steps": steps, "ms": 1000 * spent / max(1, done[0]), "epsilon": None}

    def _privately(self, arm: str) -> dict[str, Any]:
        groups, epsilon = self.learned(), ARMS[arm]
        assert epsilon
        units = tuple((group,) for group in groups)
        plan = plan_for(Goal(epsilon), len(units), private.PASSES, private.CLIP, private.BATCH)
        print(plan.words(), file=sys.stderr, flush=True)
        started, done = time.process_time(), [0]

        def tell(_: int, share: float, loss: float) -> None:
            done[0] += 1
            self.say(f"{arm}: {share:.0%}, loss {loss:.3f}")

        steps = private.train_privately(
            self.model,
            self.config,
            private.Private(plan, units),
            self.material.endings,
            self.folder / f"{arm}.state",
            PausableClock(lambda: "", lambda _: None),
            math.inf,
            tell,
            self.prompts,
        )
        # Drawn are so many on average, in each of the steps.
        spent = time.process_time() - started
        visited = max(1.0, done[0] * plan.rate * plan.units)
        return {"ms": 1000 * spent / visited, **plan.as_json(steps)}

    def attack(self, arm: str) -> dict[str, Any]:
        """All that is measured of an arm, row by row."""
        found, rows = self.material, Rows(self.folder / f"{arm}.jsonl")
        sides: dict[str, list[dict[str, Any]]] = {}
        for side in ("members", "others"):
            sides[side] = []
            for number, group in enumerate(found.groups[side]):
                self.say(f"{arm}: {side} {number}")
                row = rows.once(f"{side}:{number}", self._middles(group))
                sides[side] += [{"file": group.path, **each} for each in row["middles"]]
        canaries = []
        for number, about in enumerate(found.canaries):
            self.say(f"{arm}: canary {number}")
            canaries.append(rows.once(f"canary:{number}", self._canary(number, about)))
        written: dict[str, list[tuple[str, float]]] = {}
        for name, has_adapter in ((arm, True), ("base", False)):
            kept = Rows(self.folder / f"{name}.jsonl")
            written[name] = []
            for number, group in enumerate(found.groups["others"][:_WRITTEN_GROUPS]):
                self.say(f"{name}: writing {number}")
                row = kept.once(f"written:{number}", self._written(group, has_adapter))
                written[name] += [(group.path, each) for each in row["similarity"]]
        return {"sides": sides, "canaries": canaries, "written": [written[arm], written["base"]]}

    def _middles(self, group: SampleGroup) -> Callable[[], dict[str, Any]]:
        import torch

        endings = self.material.endings

        def score() -> dict[str, Any]:
            if id(group) not in self._base:
                with torch.no_grad():
                    self._base[id(group)] = fit.middle_losses(
                        self.model, group, self.prompts.read(group), endings, has_adapter=False
                    )
            base = self._base[id(group)]
            return middles_as_json(
                score_middles(self.model, group, endings, SEED, self.prompts, base)
            )

        return score

    def _canary(self, number: int, about: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
        plain, found = self.material.groups["canaries"][2 * number : 2 * number + 2]
        others = about["others"]
        base = Rows(self.folder / "base.jsonl")

        def score() -> dict[str, Any]:
            def told(group: SampleGroup, others: Any, has_adapter: bool) -> dict[str, Any]:
                return secret_as_json(
                    score_secret(
                        self.model, group, others, has_adapter=has_adapter, prompts=self.prompts
                    )
                )

            scores = {
                "adapter": told(plain, others, True),
                "base": base.once(f"canary:{number}", lambda: told(plain, others, False)),
                "found": told(found, (), True),
            }
            return canary_row(about, scores)

        return score

    def _written(self, group: SampleGroup, has_adapter: bool) -> Callable[[], dict[str, Any]]:
        return lambda: {"similarity": self._similarities(group, has_adapter)}

    def _similarities(self, group: SampleGroup, has_adapter: bool) -> list[float]:
        """Of each middle of one line: how like it what is written greedily is, in percent."""
        import torch

        piece, reading = self.material.vocabulary.piece, self.prompts.read(group)
        wanted = [b"".join(map(piece, each.middle)) for each in group.branches]
        texts: list[list[int]] = [[] for _ in group.branches]
        is_open = [bool(text) and b"\n" not in text for text in wanted]
        asked = list(is_open)
        for _ in range(_WRITTEN_TOKENS):
            pairs = zip(group.branches, texts, strict=True)
            branches = tuple(dataclasses.replace(each, middle=text) for each, text in pairs)
            row = pack_middles(dataclasses.replace(group, branches=branches), reading.prompts)
            with torch.no_grad():
                hidden = fit.states_behind(self.model, reading, row, has_adapter=has_adapter)
                last = hidden[[end - 1 for _, end in row.spans]]
                best = self.model.get_base_model().lm_head(last).argmax(1).tolist()
            for at, token in enumerate(best):
                if is_open[at]:
                    texts[at].append(token)
                    is_end = self.material.vocabulary.is_end(token)
                    is_open[at] = not is_end and b"\n" not in piece(token)
            if not any(is_open):
                break
        found = []
        for text, right, branch, is_asked in zip(texts, wanted, group.branches, asked, strict=True):
            if is_asked:
                plain = [each for each in text if not self.material.vocabulary.is_end(each)]
                said = b"".join(map(piece, plain)).split(b"\n")[0].decode("utf-8", "replace")
                true = right.decode("utf-8", "replace") + (branch.ending or "")
                found.append(edit_similarity(said.rstrip(), true.rstrip()))
        return found


def figures(facts: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of an arm."""
    members, others = found["sides"]["members"], found["sides"]["others"]
    told = membership_of(members, others, SEED)
    base = [[Scored(row["file"], -row["base"]) for row in each] for each in (members, others)]
    control = tell(base[0], base[1], SEED)
    assert control is not None
    gains = [(row["file"], row["base"] - row["loss"]) for row in others]
    edits = [(file, own - plain) for (file, own), (_, plain) in zip(*found["written"], strict=True)]
    return {
        "facts": facts,
        "canaries": found["canaries"],
        "told": {**told, "base": control},
        "runs": recitation_of(members, others),
        "gains": gains,
        "edits": edits,
    }


def row(arm: str, of: dict[str, Any], plain: dict[str, Any] | None) -> str:
    """A line of the table in docs/trust.md."""
    planted = [each for each in of["canaries"] if each["repeats"]]
    often = [each for each in planted if each["repeats"] == max(e["repeats"] for e in planted)]
    exposures = [
        sum(each[key] for each in often) / len(often) for key in ("exposure", "exposure_base")
    ]
    facts, runs = of["facts"], of["runs"]
    least = (
        ""
        if not facts.get("delta")
        else (f"; epsilon at least {epsilon_at_least(of['told']['ratio'], facts['delta']):.2f}")
    )
    cells = [
        f"{arm}" + (f" ({facts['epsilon']:.2f})" if facts.get("epsilon") else ""),
        f"{sum(each['extracted'] for each in planted)} of {len(planted)}",
        f"{exposures[0]:.1f} ({exposures[1]:.1f})",
        *(_auroc(of["told"][name]) for name in ("loss", "ratio", "neighbours", "base")),
        f"{runs['members']['adapter']:.0f} / {runs['members']['base']:.0f}",
        _mean(of["gains"], plain["gains"] if plain else None, 3),
        _mean(of["edits"], plain["edits"] if plain else None, 1),
        f"{facts['ms']:.0f}{least}",
    ]
    return f"| {' | '.join(cells)} |"


def _auroc(told: Told) -> str:
    return f"{told.auroc:.3f} [{told.interval[0]:.2f}, {told.interval[1]:.2f}]"


def _mean(
    values: Sequence[tuple[str, float]], plain: Sequence[tuple[str, float]] | None, digits: int
) -> str:
    """The mean with its interval over files, and what share it is of the plain training's."""
    own = _by_file(values)
    low, high = mean_interval(own, SEED) or (math.nan, math.nan)
    said = f"{sum(own) / len(own):+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    if plain is None or plain is values:
        return said
    import numpy as np

    pairs = np.array([own, _by_file(plain)])
    drawn = pairs[:, draws(len(own), SEED)].mean(axis=2)
    low, high = np.percentile(drawn[0] / drawn[1], (2.5, 97.5))
    return f"{said}, {pairs[0].mean() / pairs[1].mean():.0%} [{low:.0%}, {high:.0%}]"


def _by_file(values: Sequence[tuple[str, float]]) -> list[float]:
    found: dict[str, list[float]] = {}
    for file, value in values:
        found.setdefault(file, []).append(value)
    return [sum(each) / len(each) for each in found.values()]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, help="by default a2a-python of the benchmarks")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--stretches", type=int, default=24, help="of code, for each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    asked = parser.parse_args()
    root = asked.repository
    if root is None:
        [corpus] = [each for each in load_corpora() if each.name == "a2a-python"]
        root = make_repository(corpus, default_cache())
    folder = FOLDER / f"{root.name}-{Path(asked.model).stem}-{asked.stretches}"
    bench = Bench(
        material(root.resolve(), asked.model, folder, asked.stretches), folder, asked.threads
    )
    found: dict[str, dict[str, Any]] = {}
    for arm in asked.arms:
        found[arm] = figures(bench.train(arm), bench.attack(arm))
        print(row(arm, found[arm], found.get("plain")), flush=True)


if __name__ == "__main__":
    main()
