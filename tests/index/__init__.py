"""Tests of codebuddy.index."""
