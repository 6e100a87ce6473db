"""A review: every rule that is on looks at the change, as long as there is time.

`review` is the one entry; git's own call and the command use it alike. A rule that fails or
meets the deadline costs its own findings and no others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING

from codebuddy.errors import CodebuddyError
from codebuddy.hook.catalog import BY_ID, RETIRED, RULES, LintRule
from codebuddy.hook.finding import MAX_EVIDENCE, Evidence, Finding
from codebuddy.hook.lookup import IndexLookup
from codebuddy.hook.notebooks import in_file
from codebuddy.hook.resolution import Resolver
from codebuddy.hook.state import State
from codebuddy.hook.suppression import is_suppressed
from codebuddy.index.file_role import role_of
from codebuddy.settings import HookSettings

if TYPE_CHECKING:
    from codebuddy.hook.model import Model


class OutOfTime(Exception):  # noqa: N818 (not an error: what was found stands)
    """The deadline came; what was found by then is shown."""


@dataclass(slots=True)
class Review:
    """What a rule works with. Without an index, rules that need one find nothing.

    `told_imports` holds (path, line, column) of the imports that CB102 has told of, so that CB103
    does not tell them again.
    """

    state: State
    settings: HookSettings
    lookup: IndexLookup | None = None
    model: Model | None = None
    deadline: float = float("inf")
    told_imports: set[tuple[str, int, int]] = field(default_factory=set)
    resolver: Resolver = field(init=False)

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.state)

    def check_time(self) -> None:
        """Called by rules between files.

        Raises:
            OutOfTime: The deadline is over.
        """
        if time.monotonic() > self.deadline:
            raise OutOfTime

    def places(self, name: str, *, but_for: str = "") -> Iterable[str]:
        """Paths of files of the new state that may hold `name`.

        Changed files come first, then those that the index knows, tests last.
        """
        seen = {but_for}
        for change in self.state.changes:
            if change.path and change.path not in seen:
                seen.add(change.path)
                yield change.path
        indexed = self.lookup.files_with(name) if self.lookup else []
        for path in sorted(indexed, key=lambda each: (role_of(each) == "test", each)):
            if path not in seen:
                seen.add(path)
                self.check_time()
                yield path


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """What a review found, the most useful first, and what kept it from looking further.

    `n_suppressed` counts findings that a comment on the line switched off; `failed` names
    rules that could not be run, with the reason; `missing` files that git could not give.
    """

    findings: tuple[Finding, ...]
    n_suppressed: int = 0
    is_late: bool = False
    failed: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)


Check = Callable[[Review], Iterable[Finding]]


def rules_in_use(settings: HookSettings) -> list[LintRule]:
    """The rules that are on.

    Raises:
        ConfigError: A setting names a rule that does not exist.
    """
    from codebuddy.errors import ConfigError

    for name in (*settings.enable, *settings.disable):
        if name not in BY_ID and name not in RETIRED:
            raise ConfigError(
                f"{name} is not a rule of the hook", hint=f"rules: {', '.join(BY_ID)}"
            )
    return [
        rule
        for rule in RULES
        if (rule.is_on or rule.id in settings.enable) and rule.id not in settings.disable
    ]


def retired_notice(names: Iterable[str]) -> str:
    """One sentence about the retired rules among `names`; empty where there are none."""
    found = sorted(RETIRED.keys() & set(names))
    if not found:
        return ""
    remedy = "take it out of hook.enable and hook.disable"
    if len(found) == 1:
        return f"{found[0]} is retired and finds nothing any more: {remedy}"
    names_told = f"{', '.join(found[:-1])} and {found[-1]}"
    return f"{names_told} are retired and find nothing any more: {remedy.replace(' it ', ' them ')}"


def review(
    review_: Review, rules: Iterable[LintRule], found: list[Finding] | None = None
) -> ReviewResult:
    """Run the rules and put their findings in order.

    Args:
        review_: The change and what may be asked about it.
        rules: Those to run.
        found: Takes each finding as it is made, for a caller who may not wait for the end.
    """
    wanted = {rule.id for rule in rules}
    found = [] if found is None else found
    n_suppressed = 0
    failed: list[tuple[str, str]] = []
    timings_ms: dict[str, float] = {}
    is_late = False
    for module in dict.fromkeys(rule.module for rule in _cheapest_first(wanted)):
        started = time.monotonic()
        try:
            check: Check = import_module(f"codebuddy.hook.rules.{module}").check
            for finding in check(review_):
                if finding.rule not in wanted:
                    continue
                if is_suppressed(finding, review_.state):
                    n_suppressed += 1
                else:
                    found.append(in_file(finding, review_.state))
        except OutOfTime:
            is_late = True
        except CodebuddyError as error:
            failed.append((module, error.message))
        except Exception as error:  # noqa: BLE001
            # A rule's own fault, whatever it is: the others go on.
            failed.append((module, f"{type(error).__name__}: {error}"))
        timings_ms[module] = (time.monotonic() - started) * 1000
    return ReviewResult(
        findings=tuple(ordered(found)),
        n_suppressed=n_suppressed,
        is_late=is_late,
        failed=tuple(failed),
        missing=tuple(review_.state.missing_paths),
        timings_ms=timings_ms,
    )


def quick_rules(rules: Iterable[LintRule]) -> list[LintRule]:
    """Those that look at the new lines alone."""
    return [rule for rule in rules if rule.module in _QUICK]


def slow_rules(rules: Iterable[LintRule]) -> list[LintRule]:
    """Those that look at other files too, without the model; those that cost least first."""
    wanted = {rule.id for rule in rules if not rule.needs_model and rule.module not in _QUICK}
    return _cheapest_first(wanted)


def by_module(rules: Iterable[LintRule]) -> list[list[LintRule]]:
    """The rules in their order, those of one module together."""
    groups: dict[str, list[LintRule]] = {}
    for rule in rules:
        groups.setdefault(rule.module, []).append(rule)
    return list(groups.values())


def wants_model(review_: Review, rules: Iterable[LintRule]) -> bool:
    """Whether one of the rules may need the model, decided without parsing."""
    return any(
        import_module(f"codebuddy.hook.rules.{rule.module}").may_apply(review_) for rule in rules
    )


# These need neither the index nor another file: they run first, before either is opened.
_QUICK = ("secrets", "leftovers", "binaries")
# What needs one look at the new lines comes before what asks the index, the model last.
_ORDER = (
    "secrets",
    "leftovers",
    "binaries",
    "removed",
    "imports",
    "callers",
    "deprecated",
    "duplicate",
    "unfinished",
)


def _cheapest_first(wanted: set[str]) -> list[LintRule]:
    return sorted(
        (rule for rule in RULES if rule.id in wanted), key=lambda rule: _ORDER.index(rule.module)
    )


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By worth, then confidence, then place; the same finding once, and each with its own id."""
    unique = {(each.rule, each.path, each.line, each.message): each for each in findings}
    return sorted(
        _numbered(unique.values()),
        key=lambda each: (
            -BY_ID[each.rule].worth,
            -each.confidence,
            each.path,
            each.line,
            each.column,
        ),
    )


def _numbered(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, those that say the same of one file counted from the top."""
    count: Counter[tuple[str, str, str]] = Counter()
    for each in sorted(findings, key=lambda each: (each.line, each.column)):
        subject = (each.rule, each.path, each.message)
        yield replace(each, ordinal=count[subject])
        count[subject] += 1


def shown_evidence(places: Iterable[Evidence]) -> tuple[tuple[Evidence, ...], int]:
    """The first few places and how many more there are."""
    unique = list(dict.fromkeys(places))
    return tuple(unique[:MAX_EVIDENCE]), max(0, len(unique) - MAX_EVIDENCE)
