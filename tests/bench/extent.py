"""What a model that knows the text would lose by where a suggestion ends, as Markdown on stdout.

    python -m tests.bench.extent [--holes N]         a minute; no model

In the repositories of quality_corpora.toml with use `bench`, the text that was cut out of a hole,
and what follows it in the document, is read as if a model wrote it, token by token; what the rules
of `completion.extent` and `completion.postprocess` leave of it is compared with the text.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

from codebuddy.completion.context import build_context
from codebuddy.completion.extent import take_extent
from codebuddy.completion.postprocess import clean
from codebuddy.config import load_settings
from codebuddy.datatypes import Context
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.metrics import edit_similarity, exact_match
from codebuddy.evaluation.runner import settings_for
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.vcs.repository import open_repository
from tests.bench.quality_corpora import default_cache, load_corpora, make_repository

_WRITTEN = 1500
_TOKEN = 4


def main() -> None:
    """Read each hole's own text and print what is left of it, by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holes", type=int, default=25, help="of each kind and repository")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--show", action="store_true", help="each text that is not left whole")
    arguments = parser.parse_args()
    settings = load_settings().settings
    found: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for corpus in load_corpora():
        if corpus.use != "bench":
            continue
        repository = open_repository(make_repository(corpus, default_cache()))
        update_index(repository, settings)
        with RepositoryIndex.open(repository, settings) as index:
            holes = cut_holes(repository, index, KINDS, arguments.holes, arguments.seed)
        for hole in holes:
            context = build_context(hole.as_document(repository), hole.position, hole.language)
            text = written(hole, context, settings_for(hole, settings.completion).max_lines)
            is_whole = exact_match(text, hole.text)
            found[hole.kind].append((edit_similarity(text, hole.text), is_whole))
            if arguments.show and not is_whole:
                print(f"{corpus.name} {hole.path} {hole.position}: {hole.text!r}\n  {text!r}\n")
    print("| kind | holes | edit similarity | exact |\n|---|--:|--:|--:|")
    for kind, each in found.items():
        similarity = sum(one for one, _ in each) / len(each)
        share = sum(whole for _, whole in each) / len(each)
        print(f"| {kind} | {len(each)} | {similarity:.1f} | {share:.1%} |")


def written(hole: Hole, context: Context, max_lines: int) -> str:
    """What is left of the true text and what follows it, as pieces come in."""
    raw = hole.text + hole.source[hole.end_byte :].decode("utf-8", "replace")[:_WRITTEN]
    for end in range(_TOKEN, len(raw) + _TOKEN, _TOKEN):
        taken, is_certain = take_extent(raw[:end], context, max_lines)
        if is_certain:
            break
    return clean(taken, context)[0]


if __name__ == "__main__":
    main()
