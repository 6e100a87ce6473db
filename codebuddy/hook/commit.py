"""What git's own call of a hook does: says a few lines in time, or nothing, and exits with 0.

The review runs in a thread that nobody waits for longer than agreed, and the system's alarm
ends the process whatever it hangs in; until that is set, the shell script's own limit holds.
A mistake in the settings is told in one sentence, because it would switch the hook off unseen.
Every other error is silence; `codebuddy hook run` tells.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from codebuddy.config import load_settings
from codebuddy.errors import CodebuddyError, ConfigError
from codebuddy.hook.finding import Finding
from codebuddy.hook.review import rules_in_use
from codebuddy.settings import Settings
from codebuddy.vcs import plumbing
from codebuddy.vcs.repository import Repository

# What git, the script and the interpreter take before `_started`.
_STARTING_S = 0.05
# Kept back for showing what was found.
_SHOWING_S = 0.1
# Where the machine is busy it may take longer, before it is given up.
_LONGEST_SHOWING_S = 0.5
# What the rules may overrun by, between two looks at the clock.
_GRACE_S = 0.15
# States in which git commits what it made itself, or the user what somebody else wrote.
_BUSY_WITH = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")

_started = time.monotonic()


@dataclass(slots=True)
class Work:
    """What the working thread shares with the one that waits for it.

    `is_ready` is set once nothing but the model is waited for; `waits_for_model` then says
    whether to.
    """

    repository: Repository
    settings: Settings
    findings: list[Finding] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)
    waits_for_model: bool = False

    @property
    def rules_deadline(self) -> float:
        """When the rules must be done, on the clock of `time.monotonic`."""
        return _started + self.settings.hook.limit_ms / 1000 - _SHOWING_S - _GRACE_S

    @property
    def model_deadline(self) -> float:
        """When the model must be done."""
        return _started + self.settings.hook.budget_s - _STARTING_S - _SHOWING_S

    @property
    def may_ask(self) -> bool:
        """Whether the settings let the model speak."""
        return self.settings.engine.enabled and self.settings.hook.budget_s > 0

    def begin_model(self) -> bool:
        """Say that only the model is left; whether there is time for it at all."""
        if not self.may_ask or self.model_deadline <= time.monotonic():
            return False
        self.waits_for_model = True
        self.is_ready.set()
        return True


def run(hook: str, message_file: str | None) -> None:
    """Do the work of `hook` and end the process with 0; does not return."""
    with suppress(BaseException):
        repository = plumbing.open_repository_quickly(Path.cwd())
        if not _is_busy(repository.git_folder):
            try:
                settings = load_settings(repository.root).settings
                rules_in_use(settings.hook)
            except ConfigError as error:
                _complain(hook, error)
                os._exit(0)
            work = Work(repository, settings)
            _wait_for(work, hook, message_file)
            # Where the rules took less than their time, what is left of it is for showing.
            end = work.rules_deadline + _GRACE_S + _SHOWING_S
            _arm(max(time.monotonic() + _LONGEST_SHOWING_S, end))
            _tell(work)
    # Nothing else is waited for: no thread, no lock, no exit handler.
    os._exit(0)


def _complain(hook: str, error: ConfigError) -> None:
    """Say what is wrong with the settings, once a commit."""
    if hook == "pre-commit":
        from codebuddy.terminal import safe_line

        remedy = f" ({error.hint})" if error.hint else ""
        what = f"codebuddy: nothing was reviewed: {error.message}{remedy}"
        sys.stdout.write(safe_line(what) + "\n")
        sys.stdout.flush()


def _wait_for(work: Work, hook: str, message_file: str | None) -> None:
    def do() -> None:
        with suppress(CodebuddyError, OSError, ValueError, LookupError, RuntimeError):
            if hook == "pre-commit":
                _review(work)
            elif message_file is not None:
                from codebuddy.hook.message import offer

                offer(work, Path(message_file))
        work.is_ready.set()

    worker = threading.Thread(target=do, daemon=True)
    _arm(work.rules_deadline + _GRACE_S + _SHOWING_S)
    worker.start()
    work.is_ready.wait(_left_s(work.rules_deadline + _GRACE_S))
    if work.waits_for_model:
        _arm(work.model_deadline + _GRACE_S + _SHOWING_S)
        worker.join(_left_s(work.model_deadline))


def _left_s(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


def _arm(deadline: float) -> None:
    """Let the system end this process then, also when it hangs in native code."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, _left_s(deadline))


def _review(work: Work) -> None:
    from codebuddy.hook import session
    from codebuddy.hook.index_access import index_lookup
    from codebuddy.hook.model import Model
    from codebuddy.hook.review import review, wants_model

    repository, settings = work.repository, work.settings
    rules = rules_in_use(settings.hook)
    with_model = [rule for rule in rules if rule.needs_model]
    scope = session.staged(repository, plumbing.staged_index_file(repository, is_from_git=True))
    deadline = work.rules_deadline
    with (
        index_lookup(repository, settings) as lookup,
        session.opened(repository, settings, scope, lookup, deadline=deadline) as opened,
    ):
        model = None
        if work.may_ask and wants_model(opened, with_model):
            model = Model(repository.root, work.model_deadline)
        review(opened, session.without_model(rules), work.findings)
        if model is not None and work.begin_model():
            opened.deadline = work.model_deadline
            opened.model = model
            review(opened, with_model, work.findings)


def _is_busy(git_folder: Path) -> bool:
    """Whether a merge, rebase, cherry-pick or revert is under way."""
    return any(os.path.lexists(git_folder / name) for name in _BUSY_WITH)


def _tell(work: Work) -> None:
    """To stdout, which git sends where its own messages go."""
    found = list(work.findings)
    if not found:
        return
    from codebuddy.hook import report
    from codebuddy.hook.finding import without_edits
    from codebuddy.hook.record import keep
    from codebuddy.hook.review import ordered
    from codebuddy.terminal import safe_text

    found = ordered(found)
    shown = found[: work.settings.hook.max_findings]
    if not keep(work.repository, shown):
        shown = [without_edits(each) for each in shown]
    lines = [report.text(shown)] if shown else []
    if len(found) > len(shown) > 0:
        # It is read when the commit is made: nothing is staged any more.
        is_first = not plumbing.head_commit(work.repository)
        scope = "--all" if is_first else "--range HEAD~1..HEAD"
        n_more = len(found) - len(shown)
        lines.append(f"and {n_more} more: codebuddy hook run {scope} --max 0")
    if lines:
        sys.stdout.write(safe_text("\n".join(lines)) + "\n")
        sys.stdout.flush()
