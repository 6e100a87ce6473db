"""`codebuddy engine tune`: how the model runs best on this machine, measured and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from codebuddy.terminal import StatusLine, answer, answer_json, safe_line

if TYPE_CHECKING:
    from codebuddy.service.response import TuningResponse


@click.command("tune", epilog="Example: codebuddy engine tune")
@click.option("--model", metavar="NAME|PATH", help="Measure this model, not the settings' one.")
@click.option("--force", is_flag=True, help="Measure anew, also on battery or a busy machine.")
@click.option(
    "--seconds", type=click.IntRange(1, 600), default=60, help="About how long it may take (60)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def tune(*, model: str | None, force: bool, seconds: int, as_json: bool) -> None:
    """Measure how the model runs best on this machine, and run it so from now on.

    Threads, the layout of weights, flash attention and batches are tried in turns, and what
    wins is kept for this machine, model and build of llama.cpp. A completion or a
    question to the model ends it.
    """
    from codebuddy.engine.client import EngineClient
    from codebuddy.service.request import TuningCall

    with StatusLine() as status:
        status.show("the engine measures how the model runs best")

        def show(event: Any) -> None:
            if event.get("type") == "step" and event.get("step") == "trying":
                status.show(f"trying {safe_line(str(event.get('option')))}")

        client = EngineClient.connect()
        found = client.tune(TuningCall(model, force=force, seconds=float(seconds)), show)
    if as_json:
        answer_json(found)
        return
    for line in _shown(found):
        answer(safe_line(line))


def _shown(found: TuningResponse) -> list[str]:
    from codebuddy.inference.tuning import in_words, options_in_words

    lines = []
    for step in found["tried"]:
        if step.get("ratio") is None:
            said = str(step.get("note") or "not measured")
        else:
            kept = "taken" if step.get("is_kept") else "left"
            said = f"{step['ratio']:.2f} x as fast, {step['processor_ratio']:.2f} x by the "
            said += f"processor's time: {kept}"
        lines.append(f"{step.get('option', '')}: {said}")
    texts = found["texts"]
    if sum(texts.values()):
        lines.append(
            f"greedy texts: {texts['same']} the same, {texts['rounding']} differ where two tokens "
            f"are equally likely, {texts['changed']} differ otherwise"
        )
    lines.append(f"{found['model']} runs with {options_in_words(found['options'])}")
    state = f"measured in {found['seconds']:.0f} s"
    if not found["is_new"]:
        state = f"{state} some time ago; --force measures anew"
    told = {"state": state}
    return [*lines, in_words({**told, **{k: found[k] for k in ("ratio", "crashed", "note")}})]
