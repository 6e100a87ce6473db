"""A commit message offered as comment lines, which git strips: taken by hand or not at all.

The model sees the subjects of recent commits, the names of the changed files and the first
changed lines. Without a model that answers in time the file stays as git wrote it.
"""

from __future__ import annotations

from pathlib import Path

from codebuddy.hook.credentials import masked
from codebuddy.hook.deadlines import HookRun
from codebuddy.hook.message_file import comment_mark
from codebuddy.hook.state import State
from codebuddy.terminal import safe_line

_SUBJECTS = 6
_MAX_FILES = 12
_MAX_LINES_PER_FILE = 8
_MAX_LINE = 100
_MAX_SUBJECT = 100
_VIRTUAL_NAME = "COMMIT_MESSAGE.txt"


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
    mode = plumbing.setting(repository, "commit.cleanup")
    configured = plumbing.setting(repository, "core.commentChar")
    mark = comment_mark(file, mode, configured)
    if not mark or not run.begin_model():
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
        break_ = b"" if file.read_bytes().endswith(b"\n") else b"\n"
        with file.open("ab") as stream:
            stream.write(break_ + f"{mark}\n{mark} codebuddy suggests: {subject}\n".encode())


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
