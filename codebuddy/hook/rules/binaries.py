"""CB111: a large binary file, which would stay in the history of every clone for good."""

from __future__ import annotations

from collections.abc import Iterator

from codebuddy.hook.finding import Finding
from codebuddy.hook.review import Review
from codebuddy.source_text import as_utf8

_MEBIBYTE = 1 << 20
# Larger files are not read to distinguish them from texts.
_MAX_READ_BYTES = 8 << 20


def check(review: Review) -> Iterator[Finding]:
    """New or changed binary files above the limit of the settings."""
    limit = review.settings.max_binary_bytes
    for change in review.state.changes:
        if not change.path or change.new_object == change.old_object:
            continue
        review.check_time()
        size = review.state.size_of(change)
        if size <= limit:
            continue
        content = review.state.content(change, _MAX_READ_BYTES)
        if content is not None and as_utf8(content) is not None:
            continue
        kind = "file" if content is None else "binary file"
        yield Finding(
            "CB111",
            change.path,
            1,
            1,
            f"a {kind} of {size / _MEBIBYTE:.1f} MiB would stay in the history for good",
        )
