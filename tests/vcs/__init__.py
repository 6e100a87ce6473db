"""Tests of codebuddy.vcs."""
