"""Notebooks as tools write them: by lines as Jupyter does, with one text a cell, or on one line."""

from __future__ import annotations

import json
from typing import Any, Literal

Form = Literal["lines", "texts", "one line"]


def code(source: str, *outputs: str) -> dict[str, Any]:
    """A code cell; an output is a picture's base64."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [
            {"data": {"image/png": each}, "metadata": {}, "output_type": "display_data"}
            for each in outputs
        ],
        "source": source,
    }


def markdown(source: str) -> dict[str, Any]:
    """A cell of prose."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(*cells: dict[str, Any], form: Form = "lines", language: str = "python") -> str:
    """The file's text."""
    content = {
        "cells": list(cells),
        "metadata": {
            "kernelspec": {"display_name": "K", "language": language, "name": "k"},
            "language_info": {"name": language},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    if form == "lines":
        content["cells"] = [
            each | {"source": each["source"].splitlines(keepends=True)} for each in cells
        ]
    indent = None if form == "one line" else 1
    return json.dumps(content, ensure_ascii=False, indent=indent) + "\n"


def line_with(text: str, wanted: str) -> int:
    """The number of the first line that holds `wanted`."""
    return next(n for n, line in enumerate(text.split("\n"), 1) if wanted in line)


def sources(text: str) -> list[str]:
    """Each cell's source, as nbformat reads it."""
    return ["".join(each["source"]) for each in json.loads(text)["cells"]]
