"""`codebuddy index`: build or update the index, once or for as long as files change."""

from __future__ import annotations

import time

import click

from codebuddy.index.progress import ProgressDisplay
from codebuddy.terminal import answer, answer_json, counted, note, safe_line

# Looking costs about 0.1 s in a large repository, so this takes a few percent of one core.
_WATCH_INTERVAL_S = 2.0
_SKIPPED_SHOWN = 5


@click.command(
    "index",
    help="Build the repository's index, or bring it up to date.",
    epilog="Example: codebuddy index --watch",
)
@click.option("--force", is_flag=True, help="Build it anew; the old one serves until then.")
@click.option("--watch", is_flag=True, help="Keep it up to date until Ctrl-C.")
@click.option(
    "--jobs",
    type=click.IntRange(0, 256),
    metavar="N",
    help="Processes that parse; 0 for all cores.",
)
@click.option(
    "--embedder",
    metavar="NAME|PATH",
    help="The sentence-transformers model of the dense channel; 'none' for no such channel."
    " It holds for this call; index.embedder is the lasting way.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    *, force: bool, watch: bool, jobs: int | None, embedder: str | None, as_json: bool
) -> int:
    """Entry point of the verb."""
    # Loaded here, so that `--help` does not wait for numpy.
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.index.build import update_index
    from codebuddy.index.report import IndexReport
    from codebuddy.service.context import open_repository_context

    repository_context = open_repository_context({"index.jobs": jobs, "index.embedder": embedder})

    def update(*, force: bool) -> IndexReport:
        with ProgressDisplay() as display:
            return update_index(
                repository_context.repository,
                repository_context.settings,
                force=force,
                progress=display.show,
            )

    def print_report(report: IndexReport) -> None:
        if as_json:
            answer_json(report.as_json())
        else:
            answer(_sentence(report))

    print_report(update(force=force))
    try:
        while watch:
            time.sleep(_WATCH_INTERVAL_S)
            report = update(force=False)
            if report.added or report.updated or report.removed:
                print_report(report)
    except KeyboardInterrupt:
        # How watching is meant to end; what was committed is whole.
        note("stopped watching")
        return EXIT_INTERRUPTED
    return 0


def _sentence(report: object) -> str:
    from codebuddy.index.report import IndexReport

    assert isinstance(report, IndexReport)
    languages = ", ".join(f"{name} {count}" for name, count in list(report.languages.items())[:6])
    skipped = ", ".join(f"{reason} {count}" for reason, count in report.skipped.items())
    lines = [
        f"{counted(report.files, 'file')}, {counted(report.chunks, 'chunk')},"
        f" {counted(report.lines, 'line')}"
        f" in {report.seconds:.1f} s"
        f" ({report.added} added, {report.updated} updated, {report.removed} removed)"
    ]
    if languages:
        lines.append(f"languages: {languages}")
    lines.append(
        f"embedder: {safe_line(report.embedder)}, {counted(report.vectors, 'vector')}"
        f" ({report.vectors_made} made now)"
    )
    if skipped:
        lines.append(f"skipped: {skipped}")
        shown = report.skipped_files[:_SKIPPED_SHOWN]
        lines += [f"  {safe_line(path)} ({reason})" for path, reason in shown]
        n_more = sum(report.skipped.values()) - len(shown)
        if n_more:
            lines.append(f"  and {n_more} more")
    return "\n".join(lines)
