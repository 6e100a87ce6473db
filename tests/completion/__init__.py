"""Tests of codebuddy.completion."""
