"""The tables of docs/robustness.md, made from the code: `python -m tests.robustness.page`.

One example of each transformation, and the languages that each makes sense in.
"""

from __future__ import annotations

import difflib

from codebuddy.robustness.catalog import BY_NAME, TRANSFORMATIONS, Transformation, transformed
from codebuddy.robustness.place import Place
from codebuddy.syntax import languages, traits_of

PYTHON = '''\
def find_total_value(items, limit):
    """Return the total of all prices, or the limit if it is smaller."""
    # Add every price so far.
    total = 0
    for i in range(len(items)):
        total = total + items[i]
    log_prices(items, level=logging.DEBUG, prefix="prices so far")
    if total > 100:
        return HOLE
    return total
'''
JAVASCRIPT = """\
function sumOfPrices(items) {
  let total = 0;
  while (total < items.length) {
    total += 1;
  }
  return HOLE;
}
"""
_MAIN = ("python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp")
_MOST_LINES = 4
_SEEDS = range(30)


def example(transformation: Transformation) -> tuple[list[str], list[str]]:
    """The lines that a transformation takes away, and those that stand there instead."""
    is_python = transformation.name != "WhileToFor"
    source = PYTHON if is_python else JAVASCRIPT
    if transformation.name == "new_line_aftercode":
        source = source.replace("return HOLE", "HOLE(total)")
    code = source.encode()
    start = code.index(b"HOLE")
    place = Place(code, "python" if is_python else "javascript", start, start + 4)
    for seed in _SEEDS:
        made = transformed(transformation, place, seed).place
        if made is not None:
            return _difference(source, made.source.decode())
    raise AssertionError(f"{transformation.name} changes nothing of its example")


def transformations_table() -> str:
    """A row for each of the thirty: what it does, and one example."""
    rows = ["| # | name | what | before | after |", "|--:|---|---|---|---|"]
    family = ""
    for number, each in enumerate(TRANSFORMATIONS, 1):
        if each.family != family:
            family = each.family
            rows.append(f"| | **{family}** | | | |")
        before, after = example(each)
        name = each.name + (" R" if each.is_random else "")
        cells = (str(number), name, each.says, _shown(before), _shown(after))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def languages_table() -> str:
    """How many of each family make sense, by language; the main ones first, then all others."""
    families = list(dict.fromkeys(each.family for each in TRANSFORMATIONS))
    rows = ["| language | " + " | ".join(families) + " | all | not |"]
    rows.append("|---|" + "--:|" * (len(families) + 1) + "---|")
    others = sorted(
        each for each in languages() if traits_of(each).category == "code" and each not in _MAIN
    )
    by_row: dict[str, list[str]] = {}
    for language in (*_MAIN, *others):
        served = [each for each in TRANSFORMATIONS if each.serves(language)]
        counts = [sum(each.family == family for each in served) for family in families]
        missing = [each for each in TRANSFORMATIONS if not each.serves(language)]
        whole = [f for f, count in zip(families, counts, strict=True) if not count]
        single = [each.name for each in missing if each.family not in whole]
        said = ", ".join([*(f"all of {family}" for family in whole), *single])
        cells = " | ".join(str(each) for each in [*counts, len(served)])
        by_row.setdefault(f"{cells} | {said}", []).append(language)
    for cells, named in by_row.items():
        rows.append(f"| {', '.join(named)} | {cells} |")
    return "\n".join(rows)


def _difference(before: str, after: str) -> tuple[list[str], list[str]]:
    lines = list(difflib.ndiff(before.split("\n"), after.split("\n")))
    gone = [line[2:] for line in lines if line.startswith("- ")]
    new = [line[2:] for line in lines if line.startswith("+ ")]
    if not gone:
        at = next(i for i, line in enumerate(lines) if line.startswith("+ "))
        gone = [lines[at - 1][2:]]
        new = [gone[0], *new]
    return gone, new


def _shown(lines: list[str]) -> str:
    shown = [line.replace("\t", "→").replace("|", "\\|") for line in lines[:_MOST_LINES]]
    more = ["…"] if len(lines) > _MOST_LINES else []
    return "<br>".join([f"`{line}`" if line.strip() else "(blank)" for line in shown] + more)


if __name__ == "__main__":
    assert len(BY_NAME) == 30
    print(transformations_table())
    print()
    print(languages_table())
