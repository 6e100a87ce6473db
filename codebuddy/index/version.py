"""What an index's rows depend on beside the files: another version means other rows."""

from __future__ import annotations

from codebuddy import __version__
from codebuddy.index.file_role import ROLES_VERSION
from codebuddy.index.terms import TERMS_VERSION


def analysis_version() -> bytes:
    """Changes whenever the same bytes would give other rows."""
    from codebuddy.index.analysis import ANALYSIS_VERSION

    return f"{__version__} {ANALYSIS_VERSION} {TERMS_VERSION} {ROLES_VERSION}".encode()
