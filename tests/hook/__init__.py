"""Tests of the commit hook."""
