"""Labels without people: a hole is completed without and with a lookup, and both are scored.

As Repoformer does (arXiv 2403.10059): sample, cut, complete twice, label by the gain in edit
similarity, here with both scores kept. Both arms see the same file and the same budgets, and
the lookup never sees what was cut out. Rows are written as they come, so that a run can stop
at any moment and go on later.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.completion.confidence import confidence_features
from codebuddy.completion.context import build_context
from codebuddy.completion.decision import count_definitions
from codebuddy.completion.features import extract_features
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.datatypes import Adapter, Generator, RetrieveMode, Suggestion
from codebuddy.errors import TrainingError
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import edit_similarity, exact_match
from codebuddy.evaluation.runner import settings_for
from codebuddy.heads import trained_for
from codebuddy.settings import CompletionSettings
from codebuddy.terminal import note, safe_line
from codebuddy.training.head.examples import (
    DamagedLabelsError,
    Example,
    LabelledCompletion,
    append_example,
    ends_with_line,
    read_examples,
    rewrite_examples,
    write_header,
)
from codebuddy.vcs.repository import Repository

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex

# How the names of files end that were put aside: no longer as those of labels.
PUT_ASIDE = ".old"

OnProgress = Callable[["LabelProgress"], None]


@dataclass(frozen=True, slots=True)
class LabelProgress:
    """How far labelling is: holes labelled of those wanted, and seconds per hole so far."""

    done: int
    wanted: int
    seconds_per_hole: float


@dataclass(frozen=True, slots=True)
class Labelling:
    """What labels come from; `name` is what rows call the repository.

    `unseen` are the files that the adapter did not learn from, where it is known to have learned
    from others: nothing is cut into those, which it may know by heart.
    """

    repository: Repository
    index: RepositoryIndex
    generator: Generator
    settings: CompletionSettings
    name: str
    seed: int = 0
    adapter: Adapter | None = None
    unseen: frozenset[str] | None = None

    def header(self) -> dict[str, Any]:
        """What the rows hold for: other models or budgets need other labels."""
        return {
            "repository": self.name,
            "commit": self.repository.head_commit(),
            "seed": self.seed,
            **trained_for(self.generator.name, self.settings, self.adapter),
            **({} if self.unseen is None else {"files": "unseen by the adapter"}),
        }


def label_holes(
    labelling: Labelling,
    file: Path,
    per_kind: int,
    *,
    deadline: float = float("inf"),
    on_progress: OnProgress | None = None,
) -> list[Example]:
    """Label up to `per_kind` holes of each kind, going on where `file` ends.

    Args:
        labelling: Repository, index, model and budgets.
        file: Where rows are; made if missing. Labels for another model, retrieval or seed
            are put aside under another name.
        per_kind: Holes of each kind.
        deadline: Value of `time.monotonic()` after which no hole is begun.
        on_progress: Called after each hole.

    Returns:
        All labelled holes of the file.

    Raises:
        TrainingError: The repository has no code to cut holes into.
    """
    examples = _begun(file, labelling.header())
    holes = cut_holes(
        labelling.repository, labelling.index, KINDS, per_kind, labelling.seed, labelling.unseen
    )
    if not holes:
        raise TrainingError(
            f"{labelling.repository.root} has no code to learn from",
            hint="a head needs functions and calls between files",
        )
    known = {(each.path, each.start, each.end) for each in examples}
    missing = [h for h in holes if (h.path, h.start_byte, h.end_byte) not in known]
    started = time.monotonic()
    for number, hole in enumerate(missing, 1):
        if time.monotonic() >= deadline:
            break
        example = label_hole(labelling, hole)
        append_example(file, example)
        examples.append(example)
        if on_progress is not None:
            seconds = (time.monotonic() - started) / number
            done = len(holes) - len(missing) + number
            on_progress(LabelProgress(done, len(holes), seconds))
    return examples


def label_hole(labelling: Labelling, hole: Hole) -> Example:
    """Complete a hole without and with a lookup, and score both against what stood there."""
    index = mask(labelling.index, hole)
    document = hole.as_document(labelling.repository)
    context = build_context(document, hole.position, hole.language)
    features = extract_features(context, count_definitions(context, index))
    settings = settings_for(hole, labelling.settings)
    resources = PipelineResources(
        labelling.generator,
        index,
        settings,
        labelling.repository.root.name,
        adapter=labelling.adapter,
    )

    def suggest(mode: RetrieveMode) -> Suggestion:
        return complete(PipelineRequest(document, hole.position, hole.language, mode), resources)

    never, always = suggest("never"), suggest("always")
    return Example(
        repository=labelling.name,
        path=hole.path,
        start=hole.start_byte,
        end=hole.end_byte,
        kind=hole.kind,
        language=hole.language,
        features={name: round(value, 4) for name, value in features.items()},
        confidence=_confidence(never),
        confidence_after=_confidence(always),
        found=_found(always),
        never=_labelled_completion(never, hole.text),
        always=_labelled_completion(always, hole.text),
    )


def _labelled_completion(suggestion: Suggestion, reference: str) -> LabelledCompletion:
    stats = suggestion.receipt.stats
    return LabelledCompletion(
        edit_similarity=round(edit_similarity(suggestion.text, reference), 2),
        exact=exact_match(suggestion.text, reference),
        prompt_tokens=stats.prompt_tokens,
        generated_tokens=stats.generated_tokens,
        ms=round(stats.prefill_ms + stats.generate_ms, 1),
    )


def _confidence(suggestion: Suggestion) -> dict[str, float]:
    values = confidence_features(suggestion.receipt.stats)
    return {name: round(value, 4) for name, value in values.items()}


def _found(suggestion: Suggestion) -> dict[str, float]:
    """What the lookup brought, in numbers: for experiments on deciding after it."""
    chunks = suggestion.receipt.chunks
    scores = [packed.result.channels.get("lexical", 0.0) for packed in chunks]
    return {
        "chunks": float(len(chunks)),
        "tokens": float(sum(packed.tokens for packed in chunks)),
        "symbols": float(sum("symbol" in packed.result.channels for packed in chunks)),
        "best_lexical": round(max(scores, default=0.0), 3),
        "lookup_ms": round(suggestion.receipt.timings_ms.get("retrieval", 0.0), 2),
    }


def _begun(file: Path, header: Mapping[str, Any]) -> list[Example]:
    """The rows that stand already; a file for other labels is renamed, not lost.

    One that was renamed before, and is for these labels, takes its place.
    """
    if os.path.lexists(file):
        try:
            found, examples = read_examples(file)
            why = _why_others(found, header)
        except DamagedLabelsError as error:
            found, examples, why = {}, [], f"make no sense ({error.message})"
        if not why:
            if not ends_with_line(file):
                # Without the row that a kill cut short.
                rewrite_examples(file, found, examples)
            return examples
        aside = _free_name(file)
        file.replace(aside)
        note(f"the labels in {file} {safe_line(why)}: put aside as {aside.name}")
    for earlier in sorted(file.parent.glob(f"{file.stem}.*{PUT_ASIDE}"), reverse=True):
        with contextlib.suppress(TrainingError):
            found, examples = read_examples(earlier)
            if not _why_others(found, header):
                earlier.replace(file)
                rewrite_examples(file, found, examples)
                note(f"{len(examples)} labels that were put aside go on: {earlier.name}")
                return examples
    write_header(file, header)
    return []


def _free_name(file: Path) -> Path:
    """Where labels are put aside: by the time, and by a number where two are in one second."""
    now = time.strftime("%Y%m%d-%H%M%S")
    names = (f"{file.stem}.{now}{end}{PUT_ASIDE}" for end in ("", *(f"-{n}" for n in range(2, 99))))
    return next(each for name in names if not os.path.lexists(each := file.with_name(name)))


def _why_others(found: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """For what else the labels of a header are than those of `header`; empty where for the same."""
    other = [key for key in header if key != "commit" and found.get(key) != header[key]]
    return "".join(f"are for {k} {found.get(k)!s:.80}, not {header[k]}" for k in other[:1])
