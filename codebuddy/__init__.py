"""codebuddy: a developer assistant that runs wholly on your machine."""

# First of all, since any later import could come from the working folder.
from codebuddy.isolation import start_isolated

__version__ = "0.1.0"

start_isolated()
