"""Trains adapters of a model: `python -m codebuddy.training.adapter STAGE --base MODEL.gguf`.

The stages, in order: `fetch` the packages of models/adapter/data.toml, `cut` their samples,
`train` and write the adapters. Each goes on where it was stopped. It runs from the checkout's
root. `cut` needs the base's vocabulary only; `train` needs torch, transformers and peft, and
neither the index nor llama.cpp, so that it runs on another machine with the folder of samples,
the base and this folder of the package alone.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codebuddy.training.adapter.packing import SampleGroup

DATA = Path("models/adapter/data.toml")
GROUPS_PER_PACKAGE = 14
SEED = 5
PARTS = ("train", "validation")
# Groups of the validation part that are judged, drawn from all of its packages.
JUDGED_GROUPS = 60
_TOLD = ("text", "end", "is_greedy")


def main() -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(prog="codebuddy.training.adapter", description=__doc__)
    parser.add_argument("stage", choices=["fetch", "cut", "train"])
    parser.add_argument("--work", type=Path, required=True, help="archives, samples, adapters")
    parser.add_argument("--base", type=Path, help="the GGUF file that is to get an adapter")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rank", type=int, nargs="+", default=[8])
    parser.add_argument("--rate", type=float, nargs="+", default=[4e-4])
    parser.add_argument("--steps", type=int, default=0, help="of training, in place of minutes")
    parser.add_argument(
        "--per-package", type=int, default=GROUPS_PER_PACKAGE, help="groups of samples that are cut"
    )
    parser.add_argument("--groups", type=int, default=2, help="of samples, a step")
    arguments = parser.parse_args()
    if arguments.stage != "fetch" and arguments.base is None:
        parser.error("--base is missing")
    {"fetch": fetch, "cut": cut, "train": train_all}[arguments.stage](arguments)


def fetch(arguments: argparse.Namespace) -> None:
    """Download every listed package that is not there."""
    from codebuddy.training import packages

    for part in PARTS:
        for package in packages.load_packages(DATA, part):
            mark = arguments.work / part / "fetched" / package.key
            if not mark.exists():
                if not packages.download(package, mark.parent.parent):
                    print_line(
                        f"not delivered: {package.registry} {package.name} {package.version}"
                    )
                    continue
                mark.parent.mkdir(exist_ok=True)
                mark.touch()


def cut(arguments: argparse.Namespace) -> None:
    """Cut the samples of every archive, and note which tokens end a text."""
    from codebuddy.inference.vocabulary import open_vocabulary
    from codebuddy.training.adapter.corpus import cut_archive
    from codebuddy.training.adapter.sample_file import write_endings_of

    vocabulary = open_vocabulary(arguments.base)
    write_endings_of(vocabulary, arguments.work / "endings.json")
    for part in PARTS:
        folder = arguments.work / "samples" / part
        folder.mkdir(parents=True, exist_ok=True)
        for archive in sorted((arguments.work / part).glob("*.*")):
            outcome = cut_archive(archive, folder, vocabulary, arguments.per_package, SEED)
            print_line(f"{archive.name}: {outcome}")


def train_all(arguments: argparse.Namespace) -> None:
    """Train one adapter for each rank and rate over the same readings, judge and write them."""
    import torch

    from codebuddy.inference.vocabulary import open_vocabulary
    from codebuddy.training.adapter import base_model, fit
    from codebuddy.training.adapter.export import adapter_weights, write_adapter
    from codebuddy.training.adapter.sample_file import read_endings

    learned, judged = (read_samples(arguments.work / "samples" / part) for part in PARTS)
    endings = read_endings(arguments.work / "endings.json")
    parts = tuple(base_model.LINEAR)
    configs = [
        fit.AdapterConfig(f"r{rank}_{rate:g}".replace(".", "_"), rank, parts, rate)
        for rank in arguments.rank
        for rate in arguments.rate
    ]
    # The first weights are drawn: the same seed is to give the same file.
    torch.manual_seed(SEED)
    model = fit.add_adapters(base_model.load_base(arguments.base, arguments.device), configs)

    def report(step: int, share: float, losses: dict[str, float]) -> None:
        if step % 20 == 0:
            shown = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
            print_line(f"{share:4.0%} step {step}: {shown}")

    plan = fit.TrainingPlan(
        seed=SEED,
        groups_per_step=arguments.groups,
        seconds=60 * arguments.minutes,
        steps=arguments.steps,
        state=arguments.work / "training.state",
    )
    fit.train(model, configs, learned, endings, plan, arguments.device, report)
    base = model.config
    heads = base.num_attention_heads, base.num_key_value_heads
    middle = open_vocabulary(arguments.base).fim.middle
    for config in configs:
        file = arguments.work / f"{config.name}.gguf"
        weights, alpha = adapter_weights(model, config.name), config.rank * config.scaling
        write_adapter(file, weights, base.model_type, alpha, heads, middle=middle)
    random.Random(SEED).shuffle(judged)
    names = ["", *(config.name for config in configs)]
    told = fit.judge(model, names, judged[:JUDGED_GROUPS], endings, arguments.device)
    for name, rows in told.items():
        means = [statistics.fmean(getattr(row, field) for row in rows) for field in _TOLD]
        print_line(
            f"{name or 'base'}: {len(rows)} middles, {means[0]:.3f} nats for the text and"
            f" {means[1]:.3f} for its end, {means[2]:.1%} written exactly"
        )


def read_samples(folder: Path) -> list[SampleGroup]:
    """The groups of every file of samples."""
    from codebuddy.training.adapter.sample_file import read_groups

    return [group for file in sorted(folder.glob("*.npz")) for group in read_groups(file)]


def print_line(text: str) -> None:
    """A line of progress, at once; without codebuddy's terminal, which may not be there."""
    print(ascii(text)[1:-1], file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
