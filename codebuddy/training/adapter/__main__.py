"""Trains adapters of a model: `python -m codebuddy.training.adapter STAGE --base MODEL.gguf`.

The stages, in order: `fetch` the packages of models/adapter/data.toml, `cut` their samples,
`train` and write the adapters. Each goes on where it was stopped. It runs from the checkout's
root. `cut` needs the base's vocabulary only; `train` needs torch, transformers and peft, and
neither the index nor llama.cpp, so that it runs on another machine with the folder of samples,
the base and this folder of the package alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

DATA = Path("models/adapter/data.toml")
# What ends a middle where the vocabulary has several such tokens: the end of text of Qwen's bases.
END_TOKEN = 151643
SAMPLES_PER_PACKAGE = 110
SEED = 5
PARTS = ("train", "validation")


def main() -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(prog="codebuddy.training.adapter", description=__doc__)
    parser.add_argument("stage", choices=["fetch", "cut", "train"])
    parser.add_argument("--work", type=Path, required=True, help="archives, samples, adapters")
    parser.add_argument("--base", type=Path, help="the GGUF file that is to get an adapter")
    parser.add_argument("--end-token", type=int, default=END_TOKEN, help="what ends a middle")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rank", type=int, nargs="+", default=[8])
    parser.add_argument("--rate", type=float, nargs="+", default=[4e-4])
    parser.add_argument("--steps", type=int, default=0, help="of training, in place of minutes")
    parser.add_argument("--batch-tokens", type=int, default=3200, help="of prompts, a step")
    parser.add_argument("--middle-tokens", type=int, default=360, help="of middles, a step")
    parser.add_argument("--max-prompt", type=int, default=448, help="longer ones are left out")
    parser.add_argument("--max-middle", type=int, default=64, help="longer ones are left out")
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
    """Cut the samples of every archive."""
    from codebuddy.inference.vocabulary import open_vocabulary
    from codebuddy.training.adapter.corpus import cut_archive

    vocabulary, end_token = open_vocabulary(arguments.base), arguments.end_token
    if not vocabulary.is_end(end_token):
        raise SystemExit(f"token {end_token} ends no text of {arguments.base}: see --end-token")
    for part in PARTS:
        folder = arguments.work / "samples" / part
        folder.mkdir(parents=True, exist_ok=True)
        for archive in sorted((arguments.work / part).glob("*.*")):
            outcome = cut_archive(archive, folder, vocabulary, end_token, SAMPLES_PER_PACKAGE, SEED)
            print_line(f"{archive.name}: {outcome}")


def train_all(arguments: argparse.Namespace) -> None:
    """Train one adapter for each rank and rate over the same readings, evaluate and write them."""
    import torch

    from codebuddy.training.adapter import base_model, fit
    from codebuddy.training.adapter.export import adapter_weights, write_adapter

    learned, judged = (read_samples(arguments.work / "samples" / part) for part in PARTS)
    learned = [
        (prompt, middle)
        for prompt, middle in learned
        if len(prompt) <= arguments.max_prompt and len(middle) <= arguments.max_middle
    ]
    parts = tuple(base_model.LINEAR)
    configs = [
        fit.AdapterConfig(f"r{rank}_{rate:g}".replace(".", "_"), rank, parts, rate)
        for rank in arguments.rank
        for rate in arguments.rate
    ]
    # The first weights are drawn: the same seed is to give the same file.
    torch.manual_seed(SEED)
    model = fit.add_adapters(base_model.load_base(arguments.base, arguments.device), configs)

    def report(step: int, share: float, losses: dict[str, Any]) -> None:
        if step % 20 == 0:
            shown = ", ".join(f"{name} {float(loss):.3f}" for name, loss in losses.items())
            print_line(f"{share:4.0%} step {step}: {shown}")

    plan = fit.TrainingPlan(
        batch_tokens=arguments.batch_tokens,
        seed=SEED,
        seconds=60 * arguments.minutes,
        steps=arguments.steps,
        middle_tokens=arguments.middle_tokens,
        state=arguments.work / "training.state",
    )
    fit.train(model, configs, learned, plan, arguments.device, report)
    base = model.config
    heads = base.num_attention_heads, base.num_key_value_heads
    for config in configs:
        file = arguments.work / f"{config.name}.gguf"
        weights, alpha = adapter_weights(model, config.name), config.rank * config.scaling
        write_adapter(file, weights, base.model_type, alpha, heads)
    names = ["", *(config.name for config in configs)]
    for name in names:
        loss = fit.mean_loss(model, name, judged, arguments.batch_tokens, arguments.device)
        print_line(f"{name or 'base'}: mean loss of the middles {loss:.4f}")


def read_samples(folder: Path) -> list[tuple[Any, Any]]:
    """Prompts and middles of every file of samples."""
    import numpy as np

    found: list[tuple[Any, Any]] = []
    for file in sorted(folder.glob("*.npz")):
        arrays = np.load(file, allow_pickle=False)
        tokens, at = arrays["tokens"], 0
        for before, after in zip(arrays["prompt_lengths"], arrays["middle_lengths"], strict=True):
            end = at + before + after
            found.append((tokens[at : at + before], tokens[at + before : end]))
            at = end
    return found


def print_line(text: str) -> None:
    """A line of progress, at once; without codebuddy's terminal, which may not be there."""
    print(ascii(text)[1:-1], file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
