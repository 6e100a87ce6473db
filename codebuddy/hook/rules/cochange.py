"""CB105: a file that history says changes together with these, left out this time.

Association rules over commits (Zimmermann et al., "Mining version histories to guide software
changes"): support is in how many commits both changed, confidence the share of the one's
commits in which the other changed too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.index.file_role import role_of

MIN_SUPPORT = 8
MIN_CONFIDENCE = 0.9
# Commits that touch everything say nothing of what belongs together.
_MAX_FILES_OF_A_COMMIT = 20
_MAX_CHANGED = 20


def check(review: Review) -> Iterator[Finding]:
    """At most one partner for each changed file."""
    changed = [each.path for each in review.state.changes if each.path and each.old_path]
    if review.history is None or not changed or len(changed) > _MAX_CHANGED:
        return
    present = {each.path for each in review.state.changes} | set(review.state.removed_paths())
    alone: Counter[str] = Counter()
    together: dict[str, Counter[str]] = {path: Counter() for path in changed}
    for _, paths in review.history():
        if len(paths) > _MAX_FILES_OF_A_COMMIT:
            continue
        names = {os.fsdecode(path) for path in paths}
        for path in names & together.keys():
            alone[path] += 1
            together[path].update(names - {path})
    seen: set[str] = set()
    for path in changed:
        review.check_time()
        for other, support in together[path].most_common(3):
            confidence = support / alone[path]
            if support < MIN_SUPPORT or confidence < MIN_CONFIDENCE:
                continue
            if other in present or other in seen or role_of(other) in ("generated", "vendored"):
                continue
            if not review.state.exists(other):
                continue
            seen.add(other)
            yield Finding(
                "CB105",
                path,
                1,
                1,
                f"{support} of the last {alone[path]} commits that changed this file changed "
                f"{other} too",
                (Evidence(other, 0),),
                confidence=confidence,
            )
