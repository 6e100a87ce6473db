"""CodeBLEU without data flow, for code that was written into a file.

After Ren et al. (arXiv 2009.10297): the mean of BLEU over tokens, BLEU with keywords
weighing five times as much, and the share of the reference's subtrees that the text has too.
The fourth part, data flow, is left out, so figures compare only with each other. Subtrees
are taken from the whole file with the text in its place, because a body alone does not parse.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from codebuddy.syntax import keywords
from codebuddy.syntax.scope import open_tree

_TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|\S")
_MAX_ORDER = 4
_KEYWORD_WEIGHT, _WORD_WEIGHT = 1.0, 0.2


def codebleu(text: str, reference: str, before: str, after: str, language: str) -> float:
    """How close `text` is to `reference`, 0 to 1, both standing between `before` and `after`.

    Args:
        text: What was written.
        reference: What stood there.
        before: The file up to the place.
        after: The file from the place on.
        language: The file's language; without a grammar only the token parts count.
    """
    found, wanted = _TOKEN.findall(text), _TOKEN.findall(reference)
    if not wanted:
        return float(not found)
    if not found:
        return 0.0
    reserved = keywords(language)
    parts = [
        _bleu(found, wanted, {}),
        _bleu(found, wanted, dict.fromkeys(reserved, _KEYWORD_WEIGHT)),
    ]
    subtrees = _subtrees(before, reference, after, language)
    if subtrees:
        written = _subtrees(before, text, after, language)
        parts.append((subtrees & written).total() / subtrees.total())
    return sum(parts) / len(parts)


def _bleu(found: Sequence[str], wanted: Sequence[str], weights: dict[str, float]) -> float:
    """BLEU-4 of one text, add-one smoothed above unigrams; `weights` are those of unigrams."""
    logs = []
    for order in range(1, min(_MAX_ORDER, len(wanted)) + 1):
        in_text, in_reference = _ngrams(found, order), _ngrams(wanted, order)
        smoothing = 0 if order == 1 else 1
        matched: float = (in_text & in_reference).total() + smoothing
        total: float = in_text.total() + smoothing
        if order == 1 and weights:
            # As CodeBLEU weighs: what share of the reference's words was recalled.
            shared = in_text & in_reference
            matched = _weighed(shared, weights)
            total = _weighed(in_reference, weights)
        if not matched or not total:
            return 0.0
        logs.append(math.log(matched / total))
    brevity = min(0.0, 1 - len(wanted) / len(found))
    return math.exp(brevity + sum(logs) / len(logs))


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def _weighed(counts: Counter[tuple[str, ...]], weights: dict[str, float]) -> float:
    return sum(weights.get(gram[0], _WORD_WEIGHT) * count for gram, count in counts.items())


def _subtrees(before: str, text: str, after: str, language: str) -> Counter[int]:
    """The shapes of the subtrees wholly inside `text`: node types, without names and values."""
    source = (before + text + after).encode("utf-8", "replace")
    opened = open_tree(source, language)
    if opened is None:
        return Counter()
    start = len(before.encode("utf-8", "replace"))
    end = start + len(text.encode("utf-8", "replace"))
    shapes: Counter[int] = Counter()
    # Children before parents: a node comes back, marked, once its children are done.
    done: dict[int, int] = {}
    stack = [(opened[0].root_node, False)]
    while stack:
        node, has_been_opened = stack.pop()
        if node.end_byte <= start or node.start_byte >= end:
            continue
        children = node.named_children
        if not has_been_opened and children:
            stack.append((node, True))
            stack += [(child, False) for child in children]
            continue
        shape = hash((node.kind_id, *(done.pop(child.id, 0) for child in children)))
        done[node.id] = shape
        if children and node.start_byte >= start and node.end_byte <= end:
            shapes[shape] += 1
    return shapes
