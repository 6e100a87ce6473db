"""Which files of a package are sources that somebody wrote: what models learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

LANGUAGES = {
    **dict.fromkeys(("py", "pyi"), "python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("ts", "tsx", "mts"), "typescript"),
    "go": "go", "rs": "rust", "java": "java", "kt": "kotlin", "rb": "ruby", "php": "php",
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "hpp": "cpp", "cs": "c_sharp",
    "swift": "swift", "scala": "scala", "m": "objc", "mm": "objc", "lua": "lua",
}  # fmt: skip
_SKIPPED_PATHS = re.compile(
    r"(?:^|/)(?:vendor|vendored|_vendor|third_party|node_modules|locale|migrations|generated"
    r"|fixtures|umd|esm5|bundles?|fesm\w*)/|\.min\.|\.d\.[mc]?ts$|_pb2|\.pb\.go|bindings?\.rs$"
)
# An npm package carries what was built beside what it was built from.
_SOURCE_PATH = re.compile(r"^package/(?:[\w-]+/)?src/")
_BUILT_PATH = re.compile(r"^package/(?:dist|lib|build|es|esm|cjs|module|commonjs|_\w+)/")


def written_by_hand(files: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The source files among `files` that are not built, minified, vendored or generated."""
    named = [
        (path, content)
        for path, content in files
        if PurePosixPath(path).suffix[1:] in LANGUAGES and not _SKIPPED_PATHS.search(path)
    ]
    has_sources = any(_SOURCE_PATH.search(path) for path, _ in named)
    return [
        (path, content)
        for path, content in named
        if not (has_sources and _BUILT_PATH.search(path)) and _is_written_by_hand(content)
    ]


def _is_written_by_hand(content: bytes) -> bool:
    lines = content.count(b"\n") + 1
    head = content[:600].lower()
    return (
        len(content) > 200
        and len(content) / lines < 90
        and b"generated" not in head
        and b"do not edit" not in head
        and b"\0" not in content
    )
