"""A model of the catalog that is not here: a person at the terminal is asked to download it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codebuddy.paths import is_model_path
from codebuddy.settings import Settings
from codebuddy.terminal import note

if TYPE_CHECKING:
    from codebuddy.inference.installed import InstalledModel


def ensure_model(settings: Settings, name: str, *, is_interactive: bool) -> InstalledModel:
    """As `find_model`, but a missing catalog model is offered for download to a person.

    Args:
        settings: Where models are kept and whether the network may be used.
        name: As for `find_model`.
        is_interactive: Whether a person sits at stdin and stderr.

    Raises:
        ModelError: As for `find_model`, and where the person says no.
        DownloadError: No source delivered it.
    """
    from codebuddy.inference.installed import (
        ECHO,
        entry_path,
        find_model,
        load_models,
        missing_model,
    )

    if name == ECHO or is_model_path(name) or not is_interactive or settings.offline:
        return find_model(name, settings, notify=note)
    entry = load_models(settings).get(name)
    can_offer = entry.is_pinned and entry.sources
    if entry_path(entry, settings).is_file() or not can_offer:
        return find_model(name, settings, notify=note)

    import click

    from codebuddy.inference.download import pull
    from codebuddy.inference.progress import progress_on_stderr

    question = (
        f"{entry.name} ({entry.size_text}, {entry.licence_name}) is not installed. Download it now?"
    )
    if not click.confirm(question, default=True, err=True):
        raise missing_model(entry)
    return pull(entry, settings, progress=progress_on_stderr(), notify=note)
