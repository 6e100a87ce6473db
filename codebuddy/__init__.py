"""codebuddy: a developer assistant that runs wholly on your machine."""

__version__ = "0.1.0"
