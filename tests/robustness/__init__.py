"""Tests of the thirty changes."""
