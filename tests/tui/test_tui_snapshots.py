"""How each screen looks: compared with pictures that were looked at when they were made."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from codebuddy.service.response import CompletionResponse
from codebuddy.tui.app import CodebuddyApp
from codebuddy.tui.backend import ModelLine
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.ghost import Ghost
from codebuddy.vcs.repository import open_repository
from tests.support.backends import OwnBackend
from tests.support.responses import completion_response

RECEIPT: CompletionResponse = {
    **completion_response(),
    "text": "amount_cents, percent)",
    "model": "qwen2.5-coder-1.5b",
    "decision": {
        **completion_response()["decision"],
        "retrieve": True,
        "probability": 0.75,
        "threshold": 0.5,
        "reason": "2.6 points expected from a lookup are worth its 410 ms,"
        " mostly because a value is being assigned",
        "mode": "auto",
    },
    "chunks": [
        {
            "path": "pricing.py",
            "start_line": 1,
            "end_line": 3,
            "symbol": "apply_discount",
            "score": 0.136,
            "channel": "hybrid",
            "channels": {},
            "tokens": 48,
        }
    ],
    "tokens": {"prompt": 160, "evaluated": 24, "reused": 136, "generated": 9},
    "timings_ms": {
        "context": 0.6,
        "decision": 0.2,
        "retrieval": 1.4,
        "prompt": 0.5,
        "prefill": 210.0,
        "generate": 320.0,
        "postprocess": 0.3,
        "total": 533.0,
    },
    "filters": [],
    "runtime": {"backend": "llama.cpp", "threads": 2, "gpu_layers": 0},
}
GHOST = Ghost(
    Location(5, 26),
    ("\n        amount_cents,\n        percent,\n    )",),
)


class FixedBackend(OwnBackend):
    """The real path with the echo generator, but its times are always the same.

    The index is not refreshed beside the completions, which would be there for some pictures.
    """

    def __init__(self, root, model):
        super().__init__(root, model, "external")

    async def complete(self, request, on_text=None):
        """A suggestion whose receipt holds no measured time."""
        found = await super().complete(request, on_text)
        return found | {"timings_ms": dict.fromkeys(found["timings_ms"], 1.0)}

    async def models(self):
        """A catalog of three."""
        return [
            ModelLine(name, size, use, is_here, name == "echo", licence)
            for name, size, use, is_here, licence in [
                ("qwen2.5-coder-1.5b", "1.1 GB", "lines and blocks", False, "Apache-2.0"),
                ("smollm2-135m", "98 MB", "weak machines", True, "Apache-2.0"),
                ("echo", "0 B", "trying things out", True, "Apache-2.0"),
            ]
        ]

    async def update_index(self, on_step):
        """As long as ever."""
        return await super().update_index(on_step) | {"seconds": 1.25}


def is_shown(app, text):
    """Whether the screen in front shows a text."""
    rows = app.screen._compositor.render_strips(app.size)
    return any(text in "".join(segment.text for segment in strip) for strip in rows)


async def settled(app, pilot):
    """Wait until the picture stays as it is, but not for ever: a cursor may blink."""
    seen = []
    for _ in range(80):
        await pilot.pause(0.05)
        seen.append(app.screen._compositor.render_strips(app.size))
        if len(seen) > 6 and all(each == seen[-1] for each in seen[-7:]):
            return


@pytest.fixture
def compare(repository, snap_compare):
    """Compares the app in a state with its picture."""

    def look(
        *keys, size=(120, 32), theme="dark", place=(5, 26), wait=None, with_ghost=False, files=2
    ):
        app = CodebuddyApp(
            lambda: open_repository(repository),
            FixedBackend(repository, "echo"),
            start=(repository / "cart.py", Location(*place)),
            should_restore=False,
            is_automatic=False,
            theme_name=theme,
        )

        async def before(pilot):
            async def until(condition):
                for _ in range(1500):
                    if condition():
                        return
                    await pilot.pause(0.02)
                raise AssertionError("it did not come true")

            await until(
                lambda: (
                    app.workspace.active is not None
                    and len(app.workspace.navigation.paths) == files
                )
            )
            editor = app.workspace.document_controller.editor
            assert editor is not None
            await until(lambda: editor.has_focus and editor.colouring.is_current)
            if with_ghost:
                editor.set_ghost(GHOST)
                app.workspace.status.suggestion_ended(RECEIPT)
            await pilot.press(*keys)
            if wait is not None:
                await until(lambda: wait(app))
            await settled(app, pilot)
            await until(lambda: editor.colouring.is_current)
            await settled(app, pilot)

        return snap_compare(app, run_before=before, terminal_size=size)

    return look


@pytest.mark.parametrize("theme", ["dark", "light", "contrast", "terminal"])
def test_the_workspace_in_each_theme(compare, theme):
    """Files, text with a ghost of several rows, receipt and status."""
    assert compare(theme=theme, with_ghost=True, size=(150, 32))


@pytest.mark.parametrize(
    "size", [(80, 24), (200, 60), (20, 5)], ids=lambda size: f"{size[0]}x{size[1]}"
)
def test_the_workspace_in_each_size(compare, size):
    """The text has the room, panels come where there is enough."""
    assert compare(size=size, with_ghost=True)


def test_help(compare):
    """Every key, by group."""
    assert compare("f1", size=(140, 50))


def test_the_files_palette(compare):
    """Files that match, the chosen one marked."""
    assert compare("ctrl+p", *"pri", wait=lambda app: len(getattr(app.screen, "_found", ())) == 1)


def test_the_search_palette(compare):
    """Results with a preview."""
    assert compare(
        "ctrl+t",
        *"discount",
        wait=lambda app: len(app.screen.query("#palette-preview EditorView")) == 1,
    )


def test_find_and_replace(compare):
    """Every match marked, the current one most."""
    assert compare(
        "ctrl+r",
        *"amount",
        wait=lambda app: len(app.workspace.document_controller.editor.matches) == 1,
    )


def test_compare(compare):
    """Three arms side by side."""
    assert compare(
        "f5", size=(150, 24), wait=lambda app: len(getattr(app.screen, "answers", ())) == 3
    )


@pytest.mark.process
def test_review(compare, repository, git):
    """A finding about what is staged."""
    (repository / "cart.py").write_text("import pdb; pdb.set_trace()\n")
    git(repository, "add", "cart.py")
    assert compare("f8", place=(0, 0), wait=lambda app: getattr(app.screen, "_items", None))


def test_the_models(compare):
    """What is here, what is in use, what can be pulled."""
    assert compare("f6", wait=lambda app: len(getattr(app.screen, "_lines", ())) == 3)


@pytest.mark.parametrize("size", [(120, 32), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_settings(compare, repository, own_home, monkeypatch, size):
    """Each with its value, where that comes from, and what it means."""
    (repository / ".codebuddy.toml").write_text('completion.retrieve = "never"\n')
    monkeypatch.setenv("CODEBUDDY_COMPLETION_PREFER", "quality")
    file = own_home / "config" / "codebuddy" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[completion]\nmax_lines = 3\n")
    keys = ("f10", "down", "down", "right")
    assert compare(*keys, size=size, files=3, wait=lambda app: is_shown(app, "from the next start"))


@pytest.mark.process
def test_the_index(compare):
    """How much is indexed, and what was skipped."""
    assert compare("f7", wait=lambda app: is_shown(app, "1.2"))


def test_the_commands(compare):
    """Every command by its words, with its key."""

    def shown(app):
        app.screen.query_one(Input).cursor_blink = False
        return is_shown(app, "Save as")

    assert compare("ctrl+k", *"save", wait=shown)


def test_the_definitions(compare, repository):
    """A name that is defined more than once: which one is meant?"""
    for name in ("a.py", "b.py"):
        (repository / name).write_text("def total(x):\n    return x\n")
    assert compare(
        "f12",
        place=(3, 5),
        files=4,
        wait=lambda app: len(getattr(app.screen, "_found", ())) == 2,
    )


def test_going_to_a_line(compare):
    """A line to type in."""
    assert compare("ctrl+g", *"12", wait=lambda app: len(app.screen_stack) == 2)


def test_a_question(compare):
    """A question with its answers."""
    assert compare("x", "ctrl+w")


def test_the_first_run(compare, repository):
    """What works without a model, and how to get one."""
    from codebuddy.tui.screens.first_run import FirstRunScreen

    line = ModelLine(
        "qwen2.5-coder-1.5b",
        "1.1 GB",
        "line and block completion",
        is_installed=False,
        is_in_use=True,
        licence="Apache-2.0",
    )

    def shown(app):
        if len(app.screen_stack) == 1:
            app.push_screen(FirstRunScreen(app.backend, line))
        return len(app.screen_stack) == 2

    assert compare(wait=shown)
