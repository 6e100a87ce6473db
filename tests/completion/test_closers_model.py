"""Brackets that an editor closed, with the real model: what goes in leaves a sound line."""

from __future__ import annotations

import pytest

from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.settings import CompletionSettings
from codebuddy.syntax import language_for
from tests.support.completion import document_at

HEADERS = [
    ("config.py", "import json\n\n\ndef load_config(‸)\n"),
    ("clamp.js", "// Keep value within low and high.\nfunction clamp(‸)\n"),
    ("max.c", "int max(int x, int y) {\n  if (‸) return x;\n  return y;\n}\n"),
    ("check.ts", "function check(name: string): boolean {\n  if (‸)\n}\n"),
    ("add.rs", "// Adds two numbers.\nfn add(‸)\n"),
    ("add.go", "package main\n\n// add returns the sum.\nfunc add(‸)\n"),
    ("load.js", 'fetch("‸").then((response) => response.json());\n'),
    ("Main.java", "class Main {\n  int add(‸)\n}\n"),
    ("add.rb", "def add(‸)\n  a + b\nend\n"),
    ("cart.lua", "local function add(‸)\n  return a + b\nend\n"),
    ("say.sh", 'name="world"\necho "‸"\n'),
    ("List.tsx", "const List = (p) => <ul>{p.items.map((x) => <li>‸</li>)}</ul>;\n"),
    ("cart.cpp", "#include <vector>\nint total(const std::vector<‸>& items);\n"),
    ("cart.php", "<?php\nfunction add(‸) {\n  return $a + $b;\n}\n"),
]


@pytest.mark.model
@pytest.mark.parametrize(("path", "marked"), HEADERS)
def test_the_model_does_not_close_what_the_editor_closed(default_model, path, marked):
    """The text is not empty, closes nothing twice, and no token is spent behind it."""
    document, position = document_at(marked, path)
    request = PipelineRequest(document, position, language_for(path), "never")
    settings = CompletionSettings(max_tokens=48)
    done = complete(request, PipelineResources(default_model, None, settings, "shop"))
    after = marked.partition("‸")[2].partition("\n")[0]
    closer = after[0] if after[0] != "<" else "</"
    assert done.text
    assert done.text.count(closer) <= done.text.count({")": "(", ">": "<"}.get(closer, "\0"))
    # At most the rest of the token in which the closer came.
    assert done.receipt.stats.finish_reason == "stop"
    assert done.receipt.stats.generated_tokens <= len(default_model.tokenize(done.text)) + 3
