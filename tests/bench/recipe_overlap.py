"""Whether the recipes that the embedder was tuned on hold what the search's benchmark asks for.

    python -m tests.bench.recipe_overlap RECIPES REPOSITORY...

RECIPES is a git repository of ActiveState/code with the commit of models/embedder/data.toml. Of
each question of search_questions.txt two things are looked for in the recipes that were learned
from: the code of the function that answers it, as the share of its runs of 12 words that one
recipe holds; and the question itself, as the share of its words that a title has, and back.
Then the search's figures are given with and without the questions that were met.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections import Counter
from pathlib import Path

from codebuddy import paths
from codebuddy.evaluation.retrieval import TOP_K, first_rank
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.question_words import informative_words
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.training.embedder.examples import Example, recipes
from codebuddy.training.embedder.teaching import is_held_out
from codebuddy.vcs.repository import open_repository
from tests.bench.search_tasks import questions

_RUN = 12
# Met: so much of the code, or of the words of question and title together.
_CODE = 0.25
_WORDS = 0.5
_WORD = re.compile(r"\w+")


def main() -> None:
    """Compare, list what was met, and give figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", type=Path)
    parser.add_argument("repositories", nargs="+", type=Path)
    arguments = parser.parse_args()
    data = tomllib.loads((paths.shipped_models_folder() / "embedder/data.toml").read_text("utf-8"))
    (commit,) = (each[2] for each in data["repositories"] if each[0] == "recipes")
    learned = [each for each in recipes(arguments.recipes, commit) if not is_held_out(each.query)]
    print(f"{len(learned)} recipes were learned from\n")
    holders: dict[tuple[str, ...], set[int]] = {}
    for number, recipe in enumerate(learned):
        for run in runs(recipe.text):
            holders.setdefault(run, set()).add(number)
    gains: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for root in arguments.repositories:
        repository = open_repository(root.resolve())
        update_index(repository, Settings())
        with RepositoryIndex.open(repository, Settings()) as index:
            for question, definitions in questions(index, root.name):
                ids = {each.chunk_id for each in definitions}
                texts = [
                    chunk.text
                    for path in {each.path for each in definitions}
                    for chunk in index.chunks_of(path)
                    if chunk.id in ids
                ]
                met = _met(question, texts, learned, holders)
                if met:
                    print(f"{root.name}: {question}: {met}")
                ranks = [
                    first_rank(index.search(question, TOP_K, channel), ids.__contains__)
                    for channel in ("hybrid", "dense")
                ]
                gains[bool(met)].append((_gain(ranks[0]), _gain(ranks[1])))
    print()
    print("\n".join(_figures(gains)))


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of 12 words of a text, in small letters."""
    found = _WORD.findall(text.lower())
    return {tuple(found[at : at + _RUN]) for at in range(len(found) - _RUN + 1)}


def _met(
    question: str,
    texts: list[str],
    learned: list[Example],
    holders: dict[tuple[str, ...], set[int]],
) -> str:
    """Which recipe has the answer's code or the question's words; empty for none."""
    for text in texts:
        own = runs(text)
        counts = Counter(number for run in own for number in holders.get(run, ()))
        for number, count in counts.most_common(1):
            if count >= _CODE * len(own):
                share = f"{count / len(own):.2f} of the code"
                return f"{share} in '{learned[number].query}'"
    asked = _words(question)
    for recipe in learned:
        title = _words(recipe.query)
        if len(asked & title) >= max(2, _WORDS * len(asked | title)):
            return f"asked in the words of '{recipe.query}'"
    return ""


def _words(text: str) -> set[str]:
    return {each.lower().rstrip("s") for each in informative_words(text)} - {"python"}


def _gain(rank: int | None) -> float:
    return 1 / math.log2(1 + rank) if rank else 0.0


def _figures(gains: dict[bool, list[tuple[float, float]]]) -> list[str]:
    rows = []
    for name, pairs in (
        ("all", [*gains[True], *gains[False]]),
        ("met in a recipe", gains[True]),
        ("not met", gains[False]),
    ):
        cells = []
        for column in (0, 1):
            values = [each[column] for each in pairs]
            low, high = mean_interval(values, 7) or (0.0, 0.0)
            cells.append(f"{sum(values) / max(1, len(values)):.3f} [{low:.3f}, {high:.3f}]")
        rows.append([name, str(len(pairs)), *cells])
    return table(["questions", "of", "hybrid NDCG@10", "dense NDCG@10"], rows)


if __name__ == "__main__":
    main()
