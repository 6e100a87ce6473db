"""Tests of the terminal editor."""
