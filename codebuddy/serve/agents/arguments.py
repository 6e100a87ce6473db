"""A tool's arguments, which come from a model: each is checked, and no other is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import UsageError

MAX_TEXT_CHARACTERS = 10_000
MIN_TOKENS, MAX_TOKENS = 200, 20_000


@dataclass(frozen=True, slots=True)
class Text:
    """A text argument."""

    description: str
    is_required: bool = False

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        return {
            "type": "string",
            "description": self.description,
            "maxLength": MAX_TEXT_CHARACTERS,
        }

    def read(self, name: str, value: object) -> str:
        """The value.

        Raises:
            UsageError: It is another one.
        """
        if not isinstance(value, str):
            raise UsageError(f"{name} is to be a text")
        if len(value) > MAX_TEXT_CHARACTERS:
            raise UsageError(f"{name} is longer than {MAX_TEXT_CHARACTERS:,} characters")
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds."""

    description: str
    least: int
    most: int
    default: int | None = None
    is_required: bool = False

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        found: dict[str, Any] = {
            "type": "integer",
            "description": self.description,
            "minimum": self.least,
            "maximum": self.most,
        }
        return found if self.default is None else found | {"default": self.default}

    def read(self, name: str, value: object) -> int:
        """The value.

        Raises:
            UsageError: It is another one.
        """
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, float) and value.is_integer():
            is_whole, value = True, int(value)
        if not is_whole or not self.least <= value <= self.most:  # type: ignore[operator]
            raise UsageError(f"{name} is to be a whole number from {self.least} to {self.most:,}")
        return int(value)  # type: ignore[call-overload, no-any-return]


Arguments = Mapping[str, Text | Number]


def max_tokens(default: int) -> Number:
    """The budget that every tool has."""
    return Number("Tokens that the answer may take", MIN_TOKENS, MAX_TOKENS, default)


def input_schema(arguments: Arguments) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments."""
    return {
        "type": "object",
        "properties": {name: each.schema() for name, each in arguments.items()},
        "required": [name for name, each in arguments.items() if each.is_required],
        "additionalProperties": False,
    }


def read_arguments(arguments: Arguments, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all arguments; an optional text that is missing is empty.

    Raises:
        UsageError: One is unknown, missing or wrong.
    """
    for name in given:
        if name not in arguments:
            known = ", ".join(arguments)
            raise UsageError(f"there is no argument {str(name)!r:.60}", hint=f"known are {known}")
    found: dict[str, Any] = {}
    for name, argument in arguments.items():
        value = given.get(name)
        if value is not None:
            found[name] = argument.read(name, value)
        elif argument.is_required:
            raise UsageError(f"{name} is missing")
        else:
            found[name] = "" if isinstance(argument, Text) else argument.default
    return found
