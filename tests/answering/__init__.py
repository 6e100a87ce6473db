"""Tests of completion and search as services."""
