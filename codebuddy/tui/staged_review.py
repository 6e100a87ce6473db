"""Review of the staged change for the review screen: run in a child process, applied here.

The child is `codebuddy hook run`, so that what is shown is what the hook would say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.errors import CodebuddyError
from codebuddy.hook.report_keys import FindingItem, HookReport
from codebuddy.service.response import checked

# The report of a review that found more than this is not a report.
_MAX_REPORT_BYTES = 8 << 20


class ReviewError(CodebuddyError):
    """The review could not be made or read."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One finding: `line` is 1-based, `evidence` places that show what it says."""

    id: str
    title: str
    message: str
    path: str
    line: int
    evidence: tuple[str, ...]
    has_patch: bool


async def review_staged(root: Path) -> list[ReviewItem]:
    """What the hook finds in the staged change.

    Raises:
        ReviewError: It failed; the message is the child's last line.
    """
    child = await asyncio.create_subprocess_exec(
        *platforms.python_command("codebuddy", "hook", "run", "--staged", "--format", "json"),
        env=platforms.child_environment(),
        cwd=root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, complaint = await child.communicate()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
    try:
        report = checked(json.loads(out[:_MAX_REPORT_BYTES]), HookReport)
    except ValueError as error:
        lines = complaint.decode("utf-8", "replace").strip().split("\n")
        message = next((line for line in lines if line.startswith("error: ")), lines[0])
        raise ReviewError(message.removeprefix("error: ") or "the review gave no report") from error
    return [_review_item(each) for each in report["findings"]]


def apply_item(root: Path, item: ReviewItem) -> list[str]:
    """Write a finding's patch to the work tree; the index and HEAD stay.

    Returns:
        The paths that changed.

    Raises:
        CodebuddyError: The patch does not fit any more, or cannot be written.
    """
    from codebuddy.hook.apply import apply_edits
    from codebuddy.hook.record import find_finding
    from codebuddy.vcs.repository import open_repository

    repository = open_repository(root)
    _, edits = find_finding(repository, item.id)
    return [each.document.path for each in apply_edits(repository, edits)]


def _review_item(item: FindingItem) -> ReviewItem:
    evidence = tuple(
        f"{each['path']}:{each['line']}  {each['text'].strip()}" for each in item["evidence"]
    )
    return ReviewItem(
        id=item["id"],
        title=f"{item['rule']} {item['name']}".strip(),
        message=item["message"],
        path=item["path"],
        line=item["line"],
        evidence=evidence,
        has_patch=item["has_patch"],
    )
