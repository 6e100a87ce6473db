"""Tests of the warm process."""
