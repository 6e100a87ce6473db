"""What git's own call of a hook does: says a few lines in time, or nothing, and exits with 0.

The review runs in a process of its own, which hands over each finding as it is made. Whatever
becomes of it (it hangs in native code, crashes, is killed, takes too long), this one shows what
was found by then, ends it and exits. The system's alarm ends both, and before that is set the
shell script's own limit holds.
A mistake in the settings is told in one sentence, because it would switch the hook off unseen;
so is a look that the time did not suffice for, with the rules that it concerns. Every other
error is silence; `codebuddy hook run` tells.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from codebuddy.config import load_settings
from codebuddy.errors import CodebuddyError, ConfigError
from codebuddy.hook.deadlines import GRACE_S, SHOWING_S, HookRun
from codebuddy.hook.finding import Finding
from codebuddy.hook.parent_connection import ParentConnection
from codebuddy.hook.review import (
    by_module,
    ordered,
    quick_rules,
    retired_notice,
    review,
    rules_in_use,
    slow_rules,
    wants_model,
)
from codebuddy.terminal import safe_text
from codebuddy.vcs import plumbing
from codebuddy.vcs.repository import Repository

# Where the machine is busy it may take longer, before it is given up.
_LONGEST_SHOWING_S = 0.5
# What writing the patches down may take, and what lies in the pipe at the end.
_SAVING_S = 0.3
_READING_S = 0.2
_SHARED = ("record", "report", "session")
# States in which git commits its own changes, or the user those of others.
_BUSY_WITH = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


def run_from_git(hook: str, message_file: str | None) -> None:
    """Run `hook` and exit with 0; does not return."""
    with suppress(BaseException):
        repository = plumbing.open_repository_quickly(Path.cwd())
        if not _is_busy(repository.git_folder):
            try:
                settings = load_settings(repository.root).settings
                rules_in_use(settings.hook)
            except ConfigError as error:
                _print_config_error(hook, error)
                os._exit(0)
            run = HookRun(repository, settings)
            _supervise(run, hook, message_file)
            # Where the rules took less than their time, what is left of it is for showing.
            end = run.rules_deadline + GRACE_S + SHOWING_S
            _set_alarm(max(time.monotonic() + _LONGEST_SHOWING_S, end))
            _print_findings(run, hook)
    # Nothing else is waited for: no thread, no lock, no exit handler.
    os._exit(0)


def _print_config_error(hook: str, error: ConfigError) -> None:
    """Print a settings error, once a commit."""
    if hook == "pre-commit":
        from codebuddy.terminal import safe_line

        remedy = f" ({error.hint})" if error.hint else ""
        what = f"codebuddy: nothing was reviewed: {error.message}{remedy}"
        sys.stdout.write(safe_line(what) + "\n")
        sys.stdout.flush()


def _supervise(run: HookRun, hook: str, message_file: str | None) -> None:
    """Run the review and collect its findings until it is done or the time is over."""
    reading, writing = os.pipe()
    _set_alarm(run.rules_deadline + GRACE_S + SHOWING_S)
    child = _start_review_process(run, hook, message_file, reading, writing)

    def listen() -> None:
        with (
            suppress(OSError, ValueError, LookupError, TypeError),
            os.fdopen(reading, "rb") as lines,
        ):
            for line in lines:
                run.receive(json.loads(line))
        run.is_ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    if not run.is_ready.wait(_left_s(run.rules_deadline + GRACE_S)):
        run.is_late = True
    if run.waits_for_model:
        _set_alarm(run.model_deadline + GRACE_S + SHOWING_S)
        listener.join(_left_s(run.model_deadline))
    if child:
        # At once, whatever it hangs in; what it sent lies in the pipe.
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
        listener.join(_READING_S)


def _start_review_process(
    run: HookRun, hook: str, message_file: str | None, reading: int, writing: int
) -> int:
    """Start the review; its process id, 0 where the system has no `fork`."""
    if not hasattr(os, "fork"):
        run.connection = ParentConnection(writing)
        threading.Thread(target=_run_hook, args=(run, hook, message_file), daemon=True).start()
        return 0
    # Both processes need these: once is enough.
    for module in _SHARED:
        import_module(f"codebuddy.hook.{module}")
    child = os.fork()
    if child:
        os.close(writing)
        return child
    with suppress(BaseException):
        # Its own alarm, for when the parent is killed; and nothing that holds git's streams.
        _set_alarm(max(run.rules_deadline, run.model_deadline) + GRACE_S + SHOWING_S)
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        run.connection = ParentConnection(writing)
        _run_hook(run, hook, message_file)
    os._exit(0)


def _run_hook(run: HookRun, hook: str, message_file: str | None) -> None:
    assert run.connection is not None
    with run.connection:
        try:
            if hook == "pre-commit":
                _review(run)
            elif message_file is not None:
                from codebuddy.hook.message import propose_message

                propose_message(run, Path(message_file))
        except (CodebuddyError, OSError, ValueError, LookupError, RuntimeError):
            # A later failure says nothing of what the quick rules left out.
            if not run.has_begun:
                run.connection.send({"news": "complete"})


def _left_s(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


def _set_alarm(deadline: float) -> None:
    """Let the system end this process then, also when it hangs in native code."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, _left_s(deadline))


def _review(run: HookRun) -> None:
    from codebuddy.hook import session
    from codebuddy.hook.index_access import index_lookup
    from codebuddy.hook.model import Model

    repository, settings = run.repository, run.settings
    assert run.connection is not None
    found = _Sent(run.connection)
    rules = rules_in_use(settings.hook)
    with_model = [rule for rule in rules if rule.needs_model]
    quick = quick_rules(rules)
    scope = session.staged(repository, plumbing.staged_index_file(repository, is_from_git=True))
    with session.opened(repository, settings, scope, None, deadline=run.rules_deadline) as opened:
        # What was found so far counts even if all that follows is hostile.
        run.has_begun = True
        result = review(opened, quick, found)
        if not (result.is_late or result.failed or result.missing or opened.state.is_cut):
            run.connection.send({"news": "complete"})
        with index_lookup(repository, settings) as opened.lookup:
            model = None
            if run.may_use_model and wants_model(opened, with_model):
                model = Model(repository.root, run.model_deadline)
            for group in by_module(slow_rules(rules)):
                is_late = review(opened, group, found).is_late
                message = {"news": "checked", "rules": [rule.id for rule in group]}
                run.connection.send({"news": "late"} if is_late else message)
            if model is not None and run.begin_model():
                opened.deadline = run.model_deadline
                opened.model = model
                review(opened, with_model, found)


class _Sent(list[Finding]):
    """Findings that are handed over as they are added."""

    def __init__(self, connection: ParentConnection) -> None:
        super().__init__()
        self._connection = connection

    def append(self, finding: Finding) -> None:
        super().append(finding)
        self._connection.send({"news": "finding", "finding": asdict(finding)})


def _is_busy(git_folder: Path) -> bool:
    """Whether a merge, rebase, cherry-pick or revert is under way."""
    return any(os.path.lexists(git_folder / name) for name in _BUSY_WITH)


def _print_findings(run: HookRun, hook: str) -> None:
    """To stdout, which git sends where its own messages go."""
    found = ordered(run.findings)
    shown = found[: run.settings.hook.max_findings]
    lines = []
    if shown:
        from codebuddy.hook import report
        from codebuddy.hook.finding import without_edits

        if not _save_patches(run.repository, shown):
            shown = [without_edits(each) for each in shown]
        lines.append(report.text(shown))
    elif hook == "pre-commit":
        # A rule's name then means no patch of an earlier commit.
        _save_patches(run.repository, [])
    if len(found) > len(shown) > 0:
        lines.append(
            f"and {len(found) - len(shown)} more: codebuddy hook run {_scope_options(run)} --max 0"
        )
    if hook == "pre-commit" and (unchecked := _unchecked(run)):
        lines.append(
            f"codebuddy: {unchecked}; to see the rest: codebuddy hook run {_scope_options(run)}"
        )
    # One that is switched off does what the settings say.
    retired = retired_notice(run.settings.hook.enable)
    if hook == "pre-commit" and retired:
        lines.append(f"codebuddy: {retired}")
    if lines:
        sys.stdout.write(safe_text("\n".join(lines)) + "\n")
        sys.stdout.flush()


def _unchecked(run: HookRun) -> str:
    """What was not looked at, as a part of a sentence; empty where everything was."""
    if run.is_incomplete:
        return "not all new lines could be looked at"
    left = [
        rule.id
        for rule in slow_rules(rules_in_use(run.settings.hook))
        if rule.id not in run.checked
    ]
    return f"no time was left for {', '.join(left)}" if run.is_late and left else ""


def _scope_options(run: HookRun) -> str:
    """What reviews this change when the commit is made, and nothing is staged any more."""
    is_first = False
    # What was found is shown even if git fails by now.
    with suppress(CodebuddyError):
        is_first = not plumbing.head_commit(run.repository)
    return "--all" if is_first else "--range HEAD~1..HEAD"


def _save_patches(repository: Repository, shown: list[Finding]) -> bool:
    """Whether the patches could be kept; where that hangs, they were not, and all is shown."""
    from codebuddy.hook.record import save_patches

    saved: list[bool] = []
    writer = threading.Thread(
        target=lambda: saved.append(save_patches(repository, shown)), daemon=True
    )
    writer.start()
    writer.join(_SAVING_S)
    return saved == [True]
