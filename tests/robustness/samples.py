"""Functions with what they give: run as they are and after each change, they must give the same.

Nothing here is used by the product. Each function is written as people write them, with comments,
loops over numbers and lists, comparisons, and calls that may be repeated.
"""

from __future__ import annotations

PYTHON = '''\
"""Small functions about numbers and texts."""

import math


def sum_of_squares(numbers):
    """Return the sum of the squares of all given numbers."""
    total = 0
    # Add each of the values to the amount so far.
    for i in range(len(numbers)):
        total += numbers[i] * numbers[i]
    return total


def count_larger(values, limit):
    """Count how many values are larger than the limit."""
    count = 0
    for value in values:
        if value > limit and value != 0:
            count += 1
    print(end="")
    return count


def first_words(text, how_many):
    """Find the first words of a text and join them again."""
    words = text.split()
    found = []
    for word in words:
        if len(found) == how_many:
            break
        found.append(word.lower())
    return " ".join(found)


def is_prime(number):
    """Check whether a number is prime."""
    if number < 2:
        return False
    for divisor in range(2, int(math.sqrt(number)) + 1):
        if number % divisor == 0:
            return False
    return True


def group_by_length(words):
    """Collect words in lists by their length, the short ones first."""
    groups = {}
    for word in sorted(words):
        length = len(word)
        if length not in groups:
            groups[length] = []
        groups[length].append(word)
    result = []
    for key in sorted(groups):
        result.append((key, groups[key]))
    return result


def running_maximum(numbers):
    """Give the largest number so far at each place."""
    maximums = []
    largest = None
    for number in numbers:
        if largest is None or number > largest:
            largest = number
        maximums.append(largest)
    return maximums


def without_repeats(items):
    """Remove items that come again, and keep the order of the others."""
    seen = set()
    kept = []
    for item in items:
        if item in seen:
            continue
        seen.add(item)
        kept.append(item)
    return kept


def fibonacci(count):
    """Create the first Fibonacci numbers."""
    sequence = []
    first, second = 0, 1
    for _ in range(count):
        sequence.append(first)
        first, second = second, first + second
    return sequence


def digits_of(number, base):
    """Convert a number into its digits in some base, the last one first."""
    digits = []
    rest = number
    while rest > 0:
        digits.append(rest % base)
        rest = rest // base
    return digits


def flatten(table):
    """Make one list of the rows of a table."""
    flat = []
    for row in table:
        for cell in row:
            flat.append(cell)
    return flat


def caesar(text, shift):
    """Move every letter of the text by some places in the alphabet."""
    moved = ""
    for character in text:
        if "a" <= character <= "z":
            code = (ord(character) - ord("a") + shift) % 26
            moved += chr(code + ord("a"))
        else:
            moved += character
    return moved


def evens_until(limit):
    """Collect the even numbers below the limit."""
    found = []
    for number in range(0, limit, 2):
        found.append(number)
    return found


def longest_line(text):
    """Find the longest line of a text, and the number of that line."""
    lines = text.split("\\n")
    best, place = "", -1
    for index in range(len(lines)):
        line = lines[index]
        if len(line) > len(best):
            best = line
            place = index
    return best, place


def change_of(amount, coins):
    """Choose coins for an amount, large ones first."""
    used = []
    rest = amount
    for coin in sorted(coins, reverse=True):
        while rest >= coin:
            used.append(coin)
            rest -= coin
    return used if rest == 0 else None


class Counter:
    """Counts how often something was seen."""

    def __init__(self):
        self.counts = {}

    def see(self, name):
        """Count a name once more, and return how often it was seen."""
        known = self.counts.get(name, 0)
        if known == 0:
            self.counts[name] = 0
        self.counts[name] += 1
        return self.counts[name]

    def most_common(self):
        """Give the names by how often they were seen."""
        pairs = []
        for name, count in self.counts.items():
            pairs.append((count, name))
        pairs.sort(reverse=True)
        return [name for _, name in pairs]
'''

# An expression in the namespace of the module, and its value. Functions are found by position,
# since a change may give them another name.
PYTHON_TESTS: tuple[tuple[str, tuple[object, ...], object], ...] = (
    ("sum_of_squares", ([1, 2, 3],), 14),
    ("sum_of_squares", ([],), 0),
    ("count_larger", ([1, 5, 7, 0, -1], 0), 3),
    ("first_words", ("One Two  three four", 3), "one two three"),
    ("first_words", ("", 3), ""),
    ("is_prime", (97,), True),
    ("is_prime", (91,), False),
    ("is_prime", (1,), False),
    ("group_by_length", (["bb", "a", "cc", "ddd"],), [(1, ["a"]), (2, ["bb", "cc"]), (3, ["ddd"])]),
    ("running_maximum", ([3, 1, 4, 1, 5],), [3, 3, 4, 4, 5]),
    ("without_repeats", ([1, 2, 1, 3, 2],), [1, 2, 3]),
    ("fibonacci", (7,), [0, 1, 1, 2, 3, 5, 8]),
    ("digits_of", (13, 2), [1, 0, 1, 1]),
    ("flatten", ([[1, 2], [], [3]],), [1, 2, 3]),
    ("caesar", ("abc xyz", 2), "cde zab"),
    ("evens_until", (7,), [0, 2, 4, 6]),
    ("longest_line", ("a\nbbb\ncc",), ("bbb", 1)),
    ("change_of", (63, [1, 5, 25]), [25, 25, 5, 5, 1, 1, 1]),
    ("change_of", (3, [2]), None),
)

JAVASCRIPT = """\
// Small functions about numbers and texts.

/* Add up the squares of all given numbers. */
function sumOfSquares(numbers) {
  let total = 0;
  for (let i = 0; i < numbers.length; i++) {
    total += numbers[i] * numbers[i];
  }
  return total;
}

// Count how many values are larger than the limit.
function countLarger(values, limit) {
  let count = 0;
  for (const value of values) {
    if (value > limit && value !== 0) {
      count += 1;
    }
  }
  return count;
}

/* Convert a number into its digits in some base, the last one first. */
function digitsOf(number, base) {
  const digits = [];
  let rest = number;
  while (rest > 0) {
    digits.push(rest % base);
    rest = Math.floor(rest / base);
  }
  return digits;
}

// Find the longest line of a text, and the number of that line.
function longestLine(text) {
  const lines = text.split("\\n");
  let best = "";
  let place = -1;
  for (let index = 0; index < lines.length; index++) {
    if (lines[index].length > best.length) {
      best = lines[index];
      place = index;
    }
  }
  return [best, place];
}

// Collect the even numbers below the limit.
function evensUntil(limit) {
  const found = [];
  for (let number = 0; number < limit; number += 2) {
    found.push(number);
  }
  return found;
}
"""
JAVASCRIPT_TESTS: tuple[tuple[str, tuple[object, ...], object], ...] = (
    ("sumOfSquares", ([1, 2, 3],), 14),
    ("countLarger", ([1, 5, 7, 0, -1], 0), 3),
    ("digitsOf", (13, 2), [1, 0, 1, 1]),
    ("longestLine", ("a\nbbb\ncc",), ["bbb", 1]),
    ("evensUntil", (7,), [0, 2, 4, 6]),
)
