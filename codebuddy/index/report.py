"""What an update of the index reports."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class IndexReport:
    """What an update did and what the index holds now; `languages` counts files.

    `skipped` counts files by reason, `skipped_files` names up to 100 of them with theirs, those
    of the rarest reasons first: one secret is not lost among a thousand pictures. `vectors`
    are those of `embedder` that the index holds, `vectors_made` those of them made just now.
    `seeded_from` is the work tree whose index was taken over, where this one had none.
    """

    files: int = 0
    chunks: int = 0
    languages: dict[str, int] = field(default_factory=dict)
    added: int = 0
    updated: int = 0
    removed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    skipped_files: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    lines: int = 0
    is_rebuilt: bool = False
    embedder: str = ""
    vectors: int = 0
    vectors_made: int = 0
    seeded_from: str = ""

    def as_json(self) -> dict[str, object]:
        """The stable keys of `codebuddy index --json`."""
        return {
            "files": self.files,
            "chunks": self.chunks,
            "languages": self.languages,
            "added": self.added,
            "updated": self.updated,
            "removed": self.removed,
            "skipped": self.skipped,
            "skipped_files": [
                {"path": path, "reason": reason} for path, reason in self.skipped_files
            ],
            "seconds": round(self.seconds, 3),
            "lines": self.lines,
            "embedder": self.embedder,
            "vectors": self.vectors,
            "vectors_made": self.vectors_made,
        } | ({"seeded_from": self.seeded_from} if self.seeded_from else {})
