"""A commit message offered as comment lines, which git strips: taken by hand or not at all.

The model sees the subjects of recent commits, the names of the changed files and the first
changed lines. Without a model that answers in time the file stays as git wrote it.
"""

from __future__ import annotations

from pathlib import Path

from codebuddy.hook.credentials import masked
from codebuddy.hook.deadlines import HookRun
from codebuddy.hook.state import State
from codebuddy.terminal import safe_line

_SUBJECTS = 6
_MAX_FILES = 12
_MAX_LINES_PER_FILE = 8
_MAX_LINE = 100
_MAX_MESSAGE_BYTES = 1 << 20
_MAX_SUBJECT = 100
_VIRTUAL_NAME = "COMMIT_MESSAGE.txt"
# Under these git leaves comment lines in the message.
_KEEPING_MODES = frozenset({"verbatim", "whitespace"})


def propose_message(run: HookRun, file: Path) -> None:
    """Append the model's proposal to git's message file as comment lines.

    Args:
        run: The repository, and how long the model may take.
        file: What git passes to the hook.
    """
    from codebuddy.hook import session
    from codebuddy.hook.model import Model
    from codebuddy.vcs import plumbing

    repository = run.repository
    mark = _comment_mark(file)
    if not mark or plumbing.setting(repository, "commit.cleanup") in _KEEPING_MODES:
        return
    if not run.begin_model():
        return
    model = Model(repository.root, run.model_deadline)
    scope = session.staged(repository, plumbing.staged_index_file(repository, is_from_git=True))
    with session.opened(repository, run.settings, scope, None) as review:
        prompt = _prompt(review.state, plumbing.recent_subjects(repository, _SUBJECTS))
    lines = prompt.split("\n")
    place = (len(lines), len(lines[-1]) + 1)
    text = model.complete(_VIRTUAL_NAME, prompt, *place, 1, retrieve="never")
    subject = safe_line(text.strip().split("\n")[0].strip("\"'` "))[:_MAX_SUBJECT]
    if subject:
        with file.open("ab") as stream:
            stream.write(f"{mark}\n{mark} codebuddy suggests: {subject}\n".encode())


def _comment_mark(file: Path) -> str:
    """The character that git's own comment lines begin with; empty if there are none."""
    if file.stat().st_size > _MAX_MESSAGE_BYTES:
        return ""
    lines = file.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")
    last = lines[-1]
    # Scissors: what follows them is cut away whatever it is, but a diff is no place to write.
    if any(">8" in line and line[1:].strip(" -").startswith(">8") for line in lines):
        return ""
    is_comment = bool(last) and not last[0].isalnum() and (last[1:2] in ("", " ", "\t"))
    return last[0] if is_comment and not last[0].isspace() else ""


def _prompt(state: State, subjects: list[str]) -> str:
    """A text that ends where the message's subject would stand."""
    parts = ["Each commit message says in one short line what the commit does.", ""]
    parts += [f"Commit message: {subject[:_MAX_LINE]}" for subject in reversed(subjects)]
    parts += ["", "The next commit changes:"]
    changes = [each for each in state.changes if each.path or each.old_path]
    for change in changes[:_MAX_FILES]:
        kind = {"A": "new file", "D": "deleted", "R": "renamed"}.get(change.status, "changed")
        parts.append(f"{kind} {safe_line(change.path or change.old_path)}")
        file = state.file(change.path) if change.path else None
        if file is not None:
            added = [file.lines[n - 1] for n in sorted(state.added(change))]
            told = [line for line in added if line.strip()][:_MAX_LINES_PER_FILE]
            parts += [f"+ {masked(line)[:_MAX_LINE]}" for line in told]
    return "\n".join([*parts, "", "Commit message: "])
