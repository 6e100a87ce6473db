"""Measuring on a repository's own code: completion with and without lookups, and retrieval."""
