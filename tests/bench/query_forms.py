"""What a completion should ask the index: ways to make a query of the place, side by side.

For each hole where a call to another file was cut out, every form asks the index without the
hole for ten chunks; a form is right where the chunk that defines the callee is among them.
`python -m tests.bench.quality --query-forms` runs it on the public repositories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy.code_index import CodeIndex
from codebuddy.completion import retrieval
from codebuddy.completion.candidates import LISTS, find_candidates
from codebuddy.completion.context import build_context
from codebuddy.completion.expression import expression_at
from codebuddy.datatypes import Chunk, Context, SearchResult
from codebuddy.evaluation.holes import Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.progress import TaskProgress
from codebuddy.evaluation.retrieval import TOP_K, first_rank
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.terms import terms
from codebuddy.settings import Settings
from codebuddy.vcs.repository import Repository, open_repository

AS_IT_IS = "all lists and BM25: as it is"
_LINES_BEFORE = 20
_LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the defining chunk stood for one hole, by form; `None` is not among the ten."""

    repository: str
    is_callee_typed: bool
    ranks: Mapping[str, int | None]


def measure_forms(folders: Iterable[Path], count: int, seed: int) -> list[Answer]:
    """Every form on up to `count` call holes of each repository."""
    answers = []
    settings = Settings()
    for folder in folders:
        repository = open_repository(folder)
        update_index(repository, settings)
        with RepositoryIndex.open(repository, settings) as index:
            holes = cut_holes(repository, index, ["call"], count, seed)
            with TaskProgress(folder.name, len(holes)) as progress:
                for hole in holes:
                    answers.append(_answer(hole, repository, index))
                    progress.advance()
    return answers


def _answer(hole: Hole, repository: Repository, index: RepositoryIndex) -> Answer:
    context = build_context(hole.as_document(repository), hole.position, hole.language)
    right = {each.chunk_id for each in hole.definitions}
    ranks = {}
    for name, results in results_by_form(context, mask(index, hole)).items():
        # The prompt holds the hole's own file already.
        elsewhere = [each for each in results if each.chunk.path != hole.path]
        ranks[name] = first_rank(elsewhere, right.__contains__)
    return Answer(repository.root.name, hole.is_callee_typed, ranks)


def results_by_form(context: Context, index: CodeIndex) -> dict[str, list[SearchResult]]:
    """The ten chunks that each form of the query brings, the best first."""
    statement = statement_at(context.prefix)
    lines = "\n".join(context.prefix.split("\n")[-_LINES_BEFORE:])
    headers, names = "\n".join(context.scope), "\n".join(context.unresolved)
    queries = {
        f"BM25: the last {_LINES_BEFORE} lines": terms(lines),
        "BM25: the statement being typed": terms(statement),
        "BM25: + the enclosing headers": terms(f"{statement}\n{headers}"),
        "BM25: + unresolved names": terms(f"{statement}\n{headers}\n{names}"),
        "BM25: lines before and after, headers": retrieval.query_terms(context),
    }
    channels = _channels(context, index)
    found = {
        name: _fused({_LEXICAL: _lexical(list(dict.fromkeys(query)), context, index)})
        for name, query in queries.items()
    }
    found["definitions of unresolved names"] = _fused({"name": channels["name"]})
    of_statement = list(dict.fromkeys(terms(statement)))
    found["all lists, BM25: the statement"] = _fused(
        {**channels, _LEXICAL: _lexical(of_statement, context, index)}
    )
    found["all lists without BM25"] = _fused(_without(channels, _LEXICAL))
    for each in LISTS:
        found[f"without the list '{each}'"] = _fused(_without(channels, each))
    found[AS_IT_IS] = retrieval.retrieve(context, index, TOP_K)
    return found


def statement_at(prefix: str) -> str:
    """The line at the cursor, and what it goes on from: open brackets, calls before a dot."""
    text = "\n".join(prefix.split("\n")[-_LINES_BEFORE:])
    start = text.rfind("\n") + 1
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        if text[place] in ")]}":
            depth += 1
        elif text[place] in "([{":
            depth -= 1
        if depth < 0:
            if text[place] == "{":
                # A block's, as a rule.
                break
            depth, start = 0, min(start, text.rfind("\n", 0, place) + 1)
    while start and text[start:].lstrip().startswith((".", "?.")):
        start = text.rfind("\n", 0, start - 1) + 1
    return text[start:]


def _channels(context: Context, index: CodeIndex) -> dict[str, list[SearchResult]]:
    """The lists that `retrieve` fuses."""
    found = find_candidates(context, expression_at(context.prefix), index)
    channels = {
        name: [
            result
            for result in retrieval._as_results(name, definitions, index)
            if not retrieval._is_at_cursor(result.chunk, context)
        ]
        for name, definitions in found.items()
    }
    channels[_LEXICAL] = _lexical(retrieval.query_terms(context), context, index)
    return channels


def _lexical(query: Sequence[str], context: Context, index: CodeIndex) -> list[SearchResult]:
    def is_unwanted(chunk: Chunk) -> bool:
        lines = retrieval._informative_lines(chunk.text.split("\n"))
        return retrieval._is_at_cursor(chunk, context) or not lines

    return index.lexical(query, retrieval._CANDIDATES, is_unwanted) if query else []


def _without(
    channels: Mapping[str, list[SearchResult]], name: str
) -> dict[str, list[SearchResult]]:
    return {each: found for each, found in channels.items() if each != name}


def _fused(channels: Mapping[str, list[SearchResult]]) -> list[SearchResult]:
    fused = retrieval.fuse(channels, retrieval._WEIGHTS)
    return retrieval._limit_lookalikes(fused, TOP_K)


def form_lines(answers: Sequence[Answer], seed: int) -> list[str]:
    """Tables: recall@10 of each form, all and by what is typed, and what it is behind by."""
    typed = [each for each in answers if each.is_callee_typed]
    hidden = [each for each in answers if not each.is_callee_typed]
    rows = []
    for form in answers[0].ranks:
        leads = [_hit(each, AS_IT_IS) - _hit(each, form) for each in answers]
        low, high = mean_interval(leads, seed) or (0.0, 0.0)
        behind = f"{sum(leads) / len(leads):+.3f} [{low:+.3f}, {high:+.3f}]"
        cells = [_recall(part, form, seed) for part in (answers, typed, hidden)]
        rows.append([form, *cells, "" if form == AS_IT_IS else behind])
    headings = [
        "R@10 of the defining chunk",
        f"all ({len(answers)})",
        f"name typed ({len(typed)})",
        f"name cut out ({len(hidden)})",
        "as it is, less this",
    ]
    return [*table(headings, rows), "", *_repository_lines(answers)]


def _repository_lines(answers: Sequence[Answer]) -> list[str]:
    """Recall@10 of each form by repository."""
    of_repository: dict[str, list[Answer]] = defaultdict(list)
    for each in answers:
        of_repository[each.repository].append(each)
    rows = [
        [form, *(f"{_share(own, form):.2f}" for own in of_repository.values())]
        for form in answers[0].ranks
    ]
    headings = [f"{name} ({len(own)})" for name, own in of_repository.items()]
    return table(["R@10 by repository", *headings], rows)


def _recall(answers: Sequence[Answer], form: str, seed: int) -> str:
    hits = [_hit(each, form) for each in answers]
    low, high = mean_interval(hits, seed) or (0.0, 0.0)
    return f"{_share(answers, form):.3f} [{low:.3f}, {high:.3f}]"


def _share(answers: Sequence[Answer], form: str) -> float:
    return sum(_hit(each, form) for each in answers) / max(1, len(answers))


def _hit(answer: Answer, form: str) -> float:
    return float(answer.ranks[form] is not None)
