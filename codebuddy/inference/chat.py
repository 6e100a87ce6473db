"""A model's own chat template: system and user texts -> token ids, the texts never as markup.

The template is applied to stand-ins and cut at them, so that only what the template itself says can
become special tokens; a file that spells `<|im_end|>` stays text. llama.cpp knows the usual
templates by their marks and runs none of the file's own code.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import ModelError
from codebuddy.inference.vocabulary import Vocabulary

# Roles and stand-ins; no template trims or escapes letters.
STAND_INS = (("system", "QsystemQ"), ("user", "QuserQ"))
_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """What a template says before, between and behind the two texts."""

    before: str
    between: str
    behind: str

    def tokenize(self, vocabulary: Vocabulary, system: str, user: str) -> list[int]:
        """The conversation; special tokens are those of the template alone."""
        before, between, behind = (
            vocabulary.tokenize(part, has_special=True)
            for part in (self.before, self.between, self.behind)
        )
        bos = vocabulary.bos
        start = [] if bos is None or before[:1] == [bos] else [bos]
        texts = vocabulary.tokenize(system), vocabulary.tokenize(user)
        return [*start, *before, *texts[0], *between, *texts[1], *behind]


def read_chat_template(llama: Any, model: Any, name: str) -> ChatTemplate:
    """The template of a loaded model.

    Args:
        llama: The low-level module.
        model: Its pointer to the model.
        name: What errors call the model.

    Raises:
        ModelError: It has none, or one that llama.cpp does not know.
    """
    template = llama.llama_model_chat_template(model, None)
    if not template:
        raise ModelError(
            f"{name} has no chat template, so it cannot answer questions",
            hint="name an instruct model with --model, or use --no-model for the sources alone",
        )
    messages = (llama.llama_chat_message * len(STAND_INS))()
    for message, (role, content) in zip(messages, STAND_INS, strict=True):
        message.role, message.content = role.encode(), content.encode()
    buffer = ctypes.create_string_buffer(_MAX_BYTES)
    # The assistant's turn is opened.
    length = llama.llama_chat_apply_template(
        template,
        messages,
        len(STAND_INS),
        True,  # noqa: FBT003
        buffer,
        _MAX_BYTES,
    )
    if not 0 < length <= _MAX_BYTES:
        raise _unknown(name)
    return cut_at_stand_ins(buffer.raw[:length].decode("utf-8", "replace"), name)


def cut_at_stand_ins(text: str, name: str) -> ChatTemplate:
    """The template around the stand-ins in `text`, which it was applied to.

    Raises:
        ModelError: It left one out.
    """
    system, user = (content for _, content in STAND_INS)
    before, has_system, rest = text.partition(system)
    between, has_user, behind = rest.partition(user)
    if not has_system or not has_user:
        raise _unknown(name)
    return ChatTemplate(before, between, behind)


def _unknown(name: str) -> ModelError:
    return ModelError(
        f"the chat template of {name} is not one that can be used",
        hint="name another instruct model with --model, or use --no-model",
    )
