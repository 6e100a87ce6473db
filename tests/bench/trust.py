"""What audits show of plain and of private training: `python -m tests.bench.trust`.

For each arm an adapter is trained in the repository with planted secrets, and attacked. Reports are
kept in dist/trust as they come; the next call goes on with what is missing, an audit that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from codebuddy import platforms
from tests.support.toy_repository import make_house

FOLDER = Path("dist/trust")
ARMS: dict[str, list[str]] = {
    "plain": [],
    "epsilon 8": ["--private", "--epsilon", "8"],
    "epsilon 3": ["--private", "--epsilon", "3"],
    "epsilon 1": ["--private", "--epsilon", "1"],
}


def audit(root: Path, model: str, minutes: float, arm: str) -> dict[str, Any]:
    """The report of one arm, from the file where it stands already."""
    file = FOLDER / f"{root.name}-{model}-{arm.replace(' ', '-')}.json"
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    words = ["audit", "adapter", "--model", model, "--minutes", str(minutes), "--json", *ARMS[arm]]
    done = subprocess.run(
        platforms.python_command("codebuddy", *words),
        cwd=root,
        stdout=subprocess.PIPE,
        check=True,
        env=platforms.child_environment(),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(done.stdout)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def row(arm: str, report: dict[str, Any]) -> str:
    """A line of the table in docs/trust.md."""
    planted = [each for each in report["canaries"]["rows"] if each["repeats"]]
    often = [each["exposure"] for each in planted if each["repeats"] == 16]
    told = {name: each for name, each in report["membership"].items() if name != "words"}
    best = max(told.values(), key=lambda each: each["auroc"])
    loss = report["subject"]["loss"]["held_out"]
    return (
        f"| {arm} | {report['canaries']['extracted']} of {len(planted)}"
        f" | {sum(often) / max(1, len(often)):.1f}"
        f" | {best['auroc']:.2f} [{best['interval'][0]:.2f}, {best['interval'][1]:.2f}]"
        f" | {report['recitation']['members']['adapter']:.0f}"
        f" / {report['recitation']['members']['base']:.0f}"
        f" | {loss['before']:.3f} to {loss['after']:.3f} | {report['subject']['seconds']:.0f} |"
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repository", type=Path, help="by default one that is made")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    asked = parser.parse_args()
    root = asked.repository or FOLDER / "house"
    if not root.exists():
        make_house(root)
    for arm in asked.arms:
        print(row(arm, audit(root.resolve(), asked.model, asked.minutes, arm)), flush=True)


if __name__ == "__main__":
    main()
