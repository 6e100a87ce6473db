"""One run of the commit hook: its findings so far, and until when rules and model may work.

Times are on the clock of `time.monotonic`, counted from the import of this module.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from codebuddy.hook.finding import Finding, finding_from
from codebuddy.hook.parent_connection import ParentConnection
from codebuddy.settings import Settings
from codebuddy.vcs.repository import Repository

# What git, the script and the interpreter take before `_started`.
_STARTING_S = 0.05
# Kept back for showing what was found.
SHOWING_S = 0.1
# What the rules may overrun by, between two looks at the clock.
GRACE_S = 0.15

_started = time.monotonic()


@dataclass(slots=True)
class HookRun:
    """What the reviewing process shares with the one that waits for it.

    `is_ready` is set once nothing but the model is waited for; `waits_for_model` then says
    whether to. `is_incomplete` until the quick rules have looked at everything that is new, or
    git could not tell what is. `is_late` once the time was over before the other rules were
    done; `checked` names those that were. In the reviewing process `connection` takes the news, and
    `has_begun` says whether the rules look at something.
    """

    repository: Repository
    settings: Settings
    findings: list[Finding] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)
    waits_for_model: bool = False
    is_incomplete: bool = True
    is_late: bool = False
    checked: set[str] = field(default_factory=set)
    has_begun: bool = False
    connection: ParentConnection | None = None

    @property
    def rules_deadline(self) -> float:
        """When the rules must be done, on the clock of `time.monotonic`."""
        return _started + self.settings.hook.limit_ms / 1000 - SHOWING_S - GRACE_S

    @property
    def model_deadline(self) -> float:
        """When the model must be done."""
        return _started + self.settings.hook.budget_s - _STARTING_S - SHOWING_S

    @property
    def may_use_model(self) -> bool:
        """Whether the settings allow the model."""
        return self.settings.engine.enabled and self.settings.hook.budget_s > 0

    def begin_model(self) -> bool:
        """Report that only the model is left; return whether there is time for it."""
        if not self.may_use_model or self.model_deadline <= time.monotonic():
            return False
        if self.connection is not None:
            self.connection.send({"news": "model"})
        return True

    def receive(self, message: dict[str, Any]) -> None:
        """Handle a message of the review process."""
        if message["news"] == "finding":
            self.findings.append(finding_from(message["finding"]))
        elif message["news"] == "complete":
            self.is_incomplete = False
        elif message["news"] == "checked":
            self.checked.update(message["rules"])
        elif message["news"] == "late":
            self.is_late = True
        elif message["news"] == "model":
            self.waits_for_model = True
            self.is_ready.set()
