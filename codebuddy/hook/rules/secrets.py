"""CB110: new lines that hold what looks like a real key or password. Marks of a repository that
switch other scanners off are not read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebuddy.hook.credentials import find_credentials, shown
from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.index.file_role import role_of
from codebuddy.index.file_walker import has_private_key

_MAX_PER_FILE = 20
# The key of Azure's storage emulator, which its manual prints.
_PUBLISHED = re.compile(
    r"devstoreaccount1|Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6"
)
_PROSE = re.compile(r"(?i)(?:^|/)(?:t|docs?|documentation|examples?)/|\.(?:md|rst|adoc|txt|html?)$")

_SETTINGS = re.compile(
    r"(?i)(?:^|/)\.env(?:\.[\w.-]+)?$|\.(?:env|ini|cfg|conf|ya?ml|properties|toml)$"
)


def check(review: Review) -> Iterator[Finding]:
    """The secrets on new lines."""
    for change, code in review.state.written():
        review.check_time()
        file = code.raw
        is_test = role_of(change.path, file.source) == "test"
        is_example = is_test or bool(_PROSE.search(change.path))
        # A text file beside the code may well be where somebody keeps a key.
        is_made_up = is_test or (is_example and not change.path.endswith(".txt"))
        count = 0
        for number in sorted(review.state.added_text(change)):
            text = file.lines[number - 1]
            # Tests and manuals are full of made-up passwords and of keys made for them; a
            # token of a documented format is one anywhere.
            for found in find_credentials(
                text, keyed_only=is_example, is_settings=bool(_SETTINGS.search(change.path))
            ):
                value = text[found.start : found.end]
                if found.kind == "private key" and (is_made_up or not _is_whole_key(file, number)):
                    continue
                if _PUBLISHED.search(text):
                    continue
                count += 1
                what = "a " if found.kind[0] not in "aAeEiIoO" else "an "
                message = f"this looks like {what}{found.kind}: {shown(value)}"
                evidence = (Evidence(change.path, number, f"{shown(value)}"),)
                confidence = 1.0 if found.is_keyed else 0.7
                yield Finding(
                    "CB110",
                    change.path,
                    number,
                    found.start + 1,
                    message,
                    evidence,
                    confidence=confidence,
                )
                break
            if count >= _MAX_PER_FILE:
                break


def _is_whole_key(file: SourceFile, number: int) -> bool:
    """Whether key material follows the header: code that only speaks of one has none."""
    return has_private_key("\n".join(file.lines[number - 1 : number + 12]).encode())
