"""pass@1 of function bodies that a model writes, as the code around them is changed.

    python -m tests.bench.executed --model smollm2-135m [--family F] [--seeds S] [--functions N]

The functions are those of tests/robustness/samples.py: each body after the docstring is a hole,
completed without lookups, and the program is run with the function's tests behind closed doors
(`sandbox`). Robust pass, drop and relative are ReCode's (arXiv 2212.10264), greedy.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.datatypes import Document, Generator, Position
from codebuddy.robustness.catalog import FAMILIES, TRANSFORMATIONS, transformed
from codebuddy.robustness.place import Place, open_view
from codebuddy.service.models import open_model
from codebuddy.settings import ModelSettings, Settings
from codebuddy.terminal import StatusLine
from tests.bench.sandbox import run_shut_in
from tests.robustness.samples import PYTHON, PYTHON_TESTS


def main() -> None:
    """Complete, run, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--family", action="append", choices=FAMILIES)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--functions", type=int, default=100)
    arguments = parser.parse_args()
    settings = Settings(model=ModelSettings(name=arguments.model))
    generator, _ = open_model(settings, StatusLine())
    families = arguments.family or list(FAMILIES)
    passed: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    nominal: dict[str, bool] = {}
    for name, place in list(bodies().items())[: arguments.functions]:
        nominal[name] = passes(place, name, {}, generator, settings)
        view = open_view(place)
        for each in TRANSFORMATIONS:
            for seed in range(arguments.seeds if each.is_random else 1):
                outcome = transformed(each, place, seed, view=view)
                if outcome.place is None or each.family not in families:
                    continue
                is_right = passes(outcome.place, name, outcome.names, generator, settings)
                passed[each.family][name].append(is_right)
        print(f"{name}: {'passes' if nominal[name] else 'fails'}", file=sys.stderr, flush=True)
    print_table(nominal, passed)


def bodies() -> dict[str, Place]:
    """A hole for the body of each function that has tests, behind its docstring."""
    code = PYTHON.encode()
    found = {}
    for name in dict.fromkeys(name for name, _, _ in PYTHON_TESTS):
        begin = code.index(f"def {name}(".encode())
        start = code.index(b'"""\n', begin) + 4
        start += len(code[start:]) - len(code[start:].lstrip())
        end = code.index(b"\n\n\n", start)
        found[name] = Place(code, "python", start, end)
    return found


def passes(
    place: Place,
    name: str,
    names: Mapping[str, str],
    generator: Generator,
    settings: Settings,
) -> bool:
    """Whether the function passes its tests with the body that the model writes."""
    before = place.source[: place.start].decode()
    after = place.source[place.end :].decode()
    position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
    document = Document("samples.py", before + after, Path("samples.py").absolute())
    request = PipelineRequest(document, position, "python", "never")
    resources = PipelineResources(generator, None, settings.completion, "samples")
    text = complete(request, resources).text
    called = names.get(name, name)
    lines = [
        f"assert {called}(*{arguments!r}) == {expected!r}"
        for other, arguments, expected in PYTHON_TESTS
        if other == name
    ]
    program = f"{before}{text}{after}\n\n\n" + "\n".join(lines) + "\nprint('passed')\n"
    done = run_shut_in(program)
    return done.is_well and done.output.endswith("passed\n")


def print_table(
    nominal: Mapping[str, bool], passed: Mapping[str, Mapping[str, list[bool]]]
) -> None:
    """Pass@1, robust pass, drop and relative by family, over the functions that were changed."""
    print("| family | functions | pass@1 % | robust pass % | drop % | relative % |")
    print("|---|--:|--:|--:|--:|--:|")
    for family, versions in passed.items():
        plain = sum(nominal[name] for name in versions) / len(versions)
        robust = sum(all(each) for each in versions.values()) / len(versions)
        relative = sum(any(v != nominal[n] for v in each) for n, each in versions.items())
        drop = f"{100 * (plain - robust) / plain:.1f}" if plain else "-"
        print(
            f"| {family} | {len(versions)} | {100 * plain:.1f} | {100 * robust:.1f} | {drop}"
            f" | {100 * relative / len(versions):.1f} |"
        )


if __name__ == "__main__":
    main()
