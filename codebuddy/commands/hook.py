"""`codebuddy hook`: install, uninstall and ask after the git hooks; review by hand and in CI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.hook.finding import Finding
    from codebuddy.hook.install import HookStatus
    from codebuddy.hook.review import ReviewResult
    from codebuddy.service.context import RepositoryContext
    from codebuddy.settings import HookSettings

_EXIT_FOUND = 1
_MAX_MISSING = 5
_HOOK = click.Choice(["pre-commit", "prepare-commit-msg"])


@click.group(
    "hook",
    help="Suggestions about what is being committed: a few lines, never in the way.",
    epilog="Example: codebuddy hook install",
)
def command() -> None:
    """The group of verbs."""


@command.command("install", epilog="Example: codebuddy hook install")
@click.option("--message", is_flag=True, help="Also offer a commit message as comment lines.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def install(*, message: bool, as_json: bool) -> None:
    """Let git run codebuddy before each commit; a hook that is there goes on working."""
    from codebuddy.hook import install as installation
    from codebuddy.service.context import open_repository_context

    repository_context = open_repository_context()
    names = ["pre-commit"] + ["prepare-commit-msg"] * message
    installed = []
    for name in names:
        done = installation.install(
            repository_context.repository, name, repository_context.settings.hook
        )
        installed.append({"hook": name, "file": str(done.file), "has_legacy": done.has_legacy})
        if as_json:
            continue
        chained = "; the hook that was there runs first" if done.has_legacy else ""
        answer(f"installed {safe_line(str(done.file))}{chained}")
    if as_json:
        answer_json({"installed": installed})
    if not (repository_context.repository.index_folder / "index.db").exists():
        _build_index(repository_context)


def _build_index(repository_context: RepositoryContext) -> None:
    """Once, so that the next commit already finds what the rules ask; the hook stays without."""
    from codebuddy.errors import IndexingError
    from codebuddy.service.refresh import open_index

    note("building the index, which most rules need")
    try:
        open_index(repository_context).close()
    except IndexingError as error:
        reason = safe_line(error.message)
        note(f"warning: {reason}; most rules find nothing until 'codebuddy index' was run")


@command.command("uninstall", epilog="Example: codebuddy hook uninstall")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def uninstall(*, as_json: bool) -> None:
    """Take codebuddy's hooks away and put back what was there before."""
    from codebuddy.hook import install as installation
    from codebuddy.hook.stub import HOOKS
    from codebuddy.service.context import open_repository_context

    repository = open_repository_context().repository
    found = {name: installation.uninstall(repository, name) for name in HOOKS}
    gone = [name for name, own in found.items() if own is not None]
    if not gone:
        # Where hooks are kept elsewhere, this says where the line is that was added by hand.
        installation.hooks_folder(repository)
    if as_json:
        answer_json({"uninstalled": gone, "own_lines": [own for own in found.values() if own]})
        return
    answer(f"uninstalled {', '.join(gone)}" if gone else "no hook of codebuddy's is installed")
    for own in filter(None, found.values()):
        note(f"your own lines are kept in {safe_line(own)}")


@command.command("status", epilog="Example: codebuddy hook status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(*, as_json: bool) -> None:
    """Show which hooks are installed, which index they use and which rules are on."""
    from codebuddy.errors import RepositoryError
    from codebuddy.hook import install as installation
    from codebuddy.hook.catalog import RETIRED, RULES
    from codebuddy.hook.index_access import index_state
    from codebuddy.hook.review import rules_in_use
    from codebuddy.service.context import open_repository_context

    repository_context = open_repository_context()
    index = index_state(repository_context.repository, repository_context.settings)
    elsewhere: RepositoryError | None = None
    found: list[HookStatus] = []
    try:
        found = installation.status(repository_context.repository)
    except RepositoryError as error:
        elsewhere = error
    in_use = {rule.id for rule in rules_in_use(repository_context.settings.hook)}
    _note_retired(repository_context.settings.hook)
    if as_json:
        answer_json(
            {
                "hooks": [_status_item(each) for each in found],
                "elsewhere": None if elsewhere is None else elsewhere.message,
                "rules": {
                    each: each in in_use for each in sorted([*(r.id for r in RULES), *RETIRED])
                },
                "index": {
                    "state": index.state,
                    "message": index.message,
                    "shared_from": None if index.shared_from is None else str(index.shared_from),
                },
            }
        )
        return
    lines = [f"{each.name}: {_condition(each)}" for each in found]
    if elsewhere is not None:
        lines.append(f"hooks: {safe_line(elsewhere.message)}; {safe_line(elsewhere.hint)}")
    lines.append(f"index: {safe_line(index.message)}")
    lines += [
        f"  {rule.id} {'on ' if rule.id in in_use else 'off'} {rule.name}: {rule.summary}"
        for rule in RULES
    ]
    lines += [f"  {each} off {name}: retired" for each, name in RETIRED.items()]
    answer("\n".join(lines))


@command.command("run", epilog="Example: codebuddy hook run --range main..HEAD --strict")
@click.option("--staged", "scope", flag_value="staged", default=True, help="What is staged.")
@click.option("--all", "scope", flag_value="all", help="Every staged file, as if it were new.")
@click.option("--range", "commits", metavar="A..B", help="What the commits A..B change.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    help="How to write the findings (text).",
)
@click.option("--json", "style", flag_value="json", help="The same as --format json.")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 if anything is found, or could not be looked at."
)
@click.option(
    "--max", "most", type=click.IntRange(0), metavar="N", help="Findings at most; 0 for all."
)
@click.option("--no-update", is_flag=True, help="Use the index as it stands.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 600),
    default=0,
    metavar="SECONDS",
    help="Let the running engine's model speak, too, and wait so long for it (0).",
)
@click.option("--from-git", "hook", type=_HOOK, hidden=True)
@click.option("--message-file", hidden=True)
def run(
    *,
    scope: str,
    commits: str | None,
    style: str,
    strict: bool,
    most: int | None,
    no_update: bool,
    wait_s: int,
    hook: str | None,
    message_file: str | None,
) -> int:
    """Review what is staged, what commits changed, or everything."""
    if hook is not None:
        from codebuddy.hook.commit import run_from_git

        run_from_git(hook, message_file)
    if commits is not None and scope == "all":
        from codebuddy.errors import UsageError

        raise UsageError("--all and --range are two different reviews", hint="give one of them")
    result, shown = _reviewed(scope, commits, most, wait_s, no_update=no_update)
    _write(style, result, shown)
    # What could not be looked at is not known to be in order.
    is_in_order = not (result.findings or result.failed or result.missing)
    return _EXIT_FOUND if strict and not is_in_order else 0


def _note_retired(settings: HookSettings) -> None:
    """Name the retired rules that the settings switch on or off."""
    from codebuddy.hook.review import retired_notice

    if told := retired_notice((*settings.enable, *settings.disable)):
        note(told)


def _reviewed(
    scope: str, commits: str | None, most: int | None, wait_s: int, *, no_update: bool
) -> tuple[ReviewResult, list[Finding]]:
    from codebuddy.hook import report, session
    from codebuddy.hook.finding import without_edits
    from codebuddy.hook.lookup import IndexLookup
    from codebuddy.hook.model import Model
    from codebuddy.hook.record import save_patches
    from codebuddy.hook.review import ordered, review, rules_in_use
    from codebuddy.service.context import open_repository_context
    from codebuddy.service.refresh import with_index
    from codebuddy.vcs.plumbing import staged_index_file

    repository_context = open_repository_context()
    repository, settings = repository_context.repository, repository_context.settings
    rules = rules_in_use(settings.hook)
    _note_retired(settings.hook)
    if not wait_s:
        rules = session.without_model(rules)
    index_file = staged_index_file(repository, is_from_git=False)
    if commits is not None:
        chosen = session.commit_range(repository, commits)
    elif scope == "all":
        chosen = session.everything(repository, index_file)
    else:
        chosen = session.staged(repository, index_file, session.UNLIMITED)

    found: list[Finding] = []

    def ask(index: Any) -> ReviewResult:
        with session.opened(repository, settings, chosen, IndexLookup(index)) as opened:
            if wait_s:
                opened.model = Model(repository.root, time.monotonic() + wait_s)
            found.clear()
            return review(opened, rules, found)

    try:
        result = with_index(repository_context, ask, should_update=not no_update)
    except KeyboardInterrupt:
        if found:
            answer(report.text([without_edits(each) for each in ordered(found)]))
            note("interrupted: not everything was reviewed")
        raise
    limit = settings.hook.max_findings if most is None else most or len(result.findings)
    shown = list(result.findings[:limit])
    if not save_patches(repository, shown):
        shown = [without_edits(each) for each in shown]
    return result, shown


def _write(style: str, result: ReviewResult, shown: list[Finding]) -> None:
    from codebuddy.hook import report

    if style == "json":
        answer_json(report.as_json(result, shown))
    elif shown or style == "sarif":
        answer(report.WRITERS[style](shown))
    for module, reason in result.failed:
        note(f"warning: the rules of {module} could not run: {safe_line(reason)}")
    for path in result.missing[:_MAX_MISSING]:
        note(
            f"warning: {safe_line(path)} was not reviewed: git does not have its content, new or "
            "old ('git fsck' and 'git fetch' may tell why)"
        )
    if len(result.missing) > _MAX_MISSING:
        note(f"warning: and {len(result.missing) - _MAX_MISSING} more files were not reviewed")
    n_more = len(result.findings) - len(shown)
    if n_more > 0:
        note(f"and {n_more} more; --max 0 shows all")
    elif not shown:
        note("nothing found")


@command.command("apply", epilog="Example: codebuddy hook apply 3f2a91c0")
@click.argument("finding", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def apply(finding: str, *, as_json: bool) -> None:
    """Write the patch of a finding to the work tree, and only there."""
    from codebuddy.hook.apply import apply_edits
    from codebuddy.hook.record import find_finding
    from codebuddy.service.context import open_repository_context

    repository = open_repository_context().repository
    rule, edits = find_finding(repository, finding)
    changed = apply_edits(repository, edits)
    if as_json:
        answer_json({"rule": rule, "changed": [each.document.path for each in changed]})
        return
    for each in changed:
        answer(f"{rule}: changed {safe_line(each.document.path)} (not staged)")


def _status_item(status_: HookStatus) -> dict[str, object]:
    return {
        "hook": status_.name,
        "file": str(status_.file),
        "condition": status_.condition,
        "chained": status_.has_legacy,
        "python": None if status_.python is None else str(status_.python),
    }


def _condition(status_: HookStatus) -> str:
    told = {
        "none": "not installed",
        "ours": "installed",
        "outdated": "installed by another codebuddy; 'codebuddy hook install' renews it",
        "foreign": "somebody else's",
        "broken": f"installed, but {status_.python} is gone; 'codebuddy hook install' renews it",
    }[status_.condition]
    chained = ", with the hook that was there before" if status_.has_legacy else ""
    return safe_line(f"{told}{chained} ({status_.file})")
