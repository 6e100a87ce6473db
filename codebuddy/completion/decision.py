"""Step 2: is a lookup in the repository worth its time here?

For now an honest rule, behind the interface that a learned head will fill: a lookup pays
when the code near the cursor uses names that this file does not define and the repository
does. The probability is that rule's strength, not a calibrated one: each such name halves
what is left of the doubt.
"""

from __future__ import annotations

from collections.abc import Mapping

from codebuddy.datatypes import Context, Decision, RetrieveMode

THRESHOLD = 0.5
_NAMED_IN_REASON = 3
# Names further away than these say little about what comes next.
_NEAREST_NAMES = 6


def decide(
    context: Context, mode: RetrieveMode, defined_elsewhere: Mapping[str, int] | None
) -> Decision:
    """Whether to retrieve.

    Args:
        context: What is around the cursor.
        mode: `always` and `never` are obeyed; `auto` applies the rule.
        defined_elsewhere: For names of `context.unresolved`, the number of other files of
            the repository that define them; names that none defines are missing. `None`
            where there is no index to ask.
    """
    if defined_elsewhere is None:
        return Decision(
            retrieve=False,
            probability=0.0,
            threshold=THRESHOLD,
            reason="retrieval is off" if mode == "never" else "there is no index to ask",
            mode=mode,
        )
    nearest = context.unresolved[:_NEAREST_NAMES]
    names = [name for name in nearest if defined_elsewhere.get(name)]
    probability = 1.0 - 0.5 ** len(names)
    if mode == "always":
        return Decision(
            retrieve=True,
            probability=probability,
            threshold=THRESHOLD,
            reason="retrieval is always on",
            mode=mode,
        )
    if mode == "never":
        return Decision(
            retrieve=False,
            probability=probability,
            threshold=THRESHOLD,
            reason="retrieval is off",
            mode=mode,
        )
    return Decision(
        retrieve=probability >= THRESHOLD,
        probability=probability,
        threshold=THRESHOLD,
        reason=_reason(context, names),
        mode=mode,
    )


def _reason(context: Context, names: list[str]) -> str:
    if names:
        shown = ", ".join(names[:_NAMED_IN_REASON])
        more = len(names) - _NAMED_IN_REASON
        tail = f" and {more} more" if more > 0 else ""
        return f"defined elsewhere in the repository: {shown}{tail}"
    if context.inside != "code":
        return f"inside a {context.inside}, no name to look up"
    if not context.near:
        return "no names near the cursor"
    return "the names near the cursor are defined in this file or not in the repository"
