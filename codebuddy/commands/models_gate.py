"""`codebuddy models add --gate FILE`: a model is taken only if it keeps the gate's limits here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codebuddy.terminal import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from codebuddy.evaluation.gate import Verdict
    from codebuddy.service.context import RepositoryContext

# A report, and why the measurement ended: `done`, `interrupted` or another word.
_Measured = tuple[dict[str, Any], str]


def judge_model(file: Path, gate: Path, tasks: int) -> tuple[Verdict, str]:
    """Measure the model in the repository around the working folder, as far as the gate asks.

    The file is measured, whatever model server `model.url` names.

    Args:
        file: The model's GGUF file.
        gate: Limits on figures of `eval`, `eval --robustness` and `eval --sensitivity`.
        tasks: Holes of each kind, or of one kind for the latter two.

    Returns:
        The verdict, and why measuring ended: `done`, `interrupted` (nothing more is measured
        then), or another word where holes are left.

    Raises:
        ConfigError: The file is no gate, or limits what none of them measures.
        CodebuddyError: There is no repository, or the model cannot be loaded.
    """
    from codebuddy.commands.eval_gate import COMPLETION, open_limits
    from codebuddy.evaluation.gate import judge
    from codebuddy.paths import whole_model_name
    from codebuddy.service.context import open_repository_context

    measurements: dict[frozenset[str], Callable[[RepositoryContext, int], _Measured]] = {
        COMPLETION: _completion,
        frozenset({"robustness"}): _robustness,
        frozenset({"sensitivity"}): _sensitivity,
    }
    limits = open_limits(gate, frozenset().union(*measurements), "models add")
    wanted = {each.path.partition(".")[0] for each in limits}
    flags = {"model.name": whole_model_name(str(file)), "model.url": ""}
    context = open_repository_context(flags)
    report: dict[str, Any] = {}
    ended = "done"
    for keys, measure in measurements.items():
        if keys & wanted:
            note(f"measuring: {', '.join(sorted(keys & wanted))}")
            found, how = measure(context, tasks)
            report |= {key: value for key, value in found.items() if key in keys}
            ended = ended if how == "done" else how
            if how == "interrupted":
                break
    return judge(report, limits, is_whole=ended == "done"), ended


def _completion(context: RepositoryContext, tasks: int) -> _Measured:
    from codebuddy.evaluation.holes import KINDS
    from codebuddy.evaluation.on_repository import evaluate_repository
    from codebuddy.evaluation.session import EvaluationOptions

    report, result = evaluate_repository(context, EvaluationOptions(kinds=KINDS, tasks=tasks))
    return cast("dict[str, Any]", report), result.ended


def _robustness(context: RepositoryContext, tasks: int) -> _Measured:
    from codebuddy.evaluation.robust.on_repository import measure_robustness
    from codebuddy.evaluation.robust.session import RobustnessOptions

    options = RobustnessOptions(kinds=["line"], modes=["never", "auto"], tasks=tasks)
    report, result = measure_robustness(context, options)
    return report, result.ended


def _sensitivity(context: RepositoryContext, tasks: int) -> _Measured:
    from codebuddy.evaluation.robust.on_repository import measure_sensitivity
    from codebuddy.evaluation.session import EvaluationOptions

    options = EvaluationOptions(kinds=["line"], modes=["auto"], tasks=tasks)
    report, result = measure_sensitivity(context, options)
    return report, result.ended
