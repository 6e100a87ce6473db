"""Makes the pictures of docs/tui.md from the real app, engine and model, in a clone of this
repository: `python -m tests.bench.tui_screenshots docs/screenshots`. Look at each of them.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from codebuddy.tui.app import CodebuddyApp
from codebuddy.tui.text.buffer import Location
from codebuddy.vcs.repository import open_repository
from tests.support.backends import EngineBackend

_FILE = "codebuddy/commands/where.py"
_TEXT = '''\
"""`codebuddy where`: the offset of a place in a file."""

from __future__ import annotations

from pathlib import Path

from codebuddy.positions import parse_target, resolve
from codebuddy.terminal import answer


def show_offset(target: str) -> None:
    """Print how many characters stand before `target`."""
    file, line, column = parse_target(target)
    text = Path(file).read_text(encoding="utf-8")
    position, offset = resolve'''
_PATIENCE_S = 900.0


def main() -> None:
    """Take every picture."""
    target = Path(sys.argv[1]).absolute()
    target.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "codebuddy"
        subprocess.run(["git", "clone", "-q", str(source), str(root)], check=True)
        (root / _FILE).write_text(_TEXT)
        asyncio.run(_take(root, target))


async def _take(root: Path, target: Path) -> None:
    lines = _TEXT.split("\n")
    app = CodebuddyApp(
        lambda: open_repository(root),
        EngineBackend(root, "qwen2.5-coder-1.5b"),
        start=(root / _FILE, Location(len(lines) - 1, len(lines[-1]))),
        should_restore=False,
    )
    async with app.run_test(size=(150, 38)) as pilot:

        async def until(condition: Callable[[], object], what: str) -> None:
            for _ in range(int(_PATIENCE_S / 0.1)):
                if condition():
                    await pilot.pause(0.5)
                    return
                await pilot.pause(0.1)
            raise SystemExit(f"it did not come: {what}")

        def shot(name: str) -> None:
            picture = app.export_screenshot()
            # The viewer's own font: a picture of ours fetches nothing.
            picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
            picture = picture.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
            (target / f"{name}.svg").write_text(picture, encoding="utf-8")
            print(name, flush=True)

        workspace = app.workspace
        await until(lambda: workspace.active and len(workspace.navigation.paths) > 50, "the file")
        editor = workspace.document_controller.editor
        assert editor is not None
        # Searching first brings the index up to date, which typing alone does not wait for.
        await pilot.press(
            "ctrl+t", *"open", "space", *"file", "space", *"following", "space", *"no"
        )
        await until(lambda: app.screen.query("#palette-preview EditorView"), "a result")
        shot("search")
        await pilot.press("escape")
        await pilot.press("end", "left_parenthesis")
        await until(lambda: workspace.status.last_response and editor.ghost, "a suggestion")
        shot("workspace")
        app.theme = "codebuddy-light"
        await pilot.pause(0.5)
        shot("light")
        app.theme = "codebuddy-dark"
        await pilot.press("f5")
        await until(lambda: len(getattr(app.screen, "answers", ())) == 3, "three arms")
        shot("compare")
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await pilot.press("ctrl+@")
        await until(lambda: editor.ghost and not workspace.suggester.is_running, "a suggestion")
        shot("small")


if __name__ == "__main__":
    main()
