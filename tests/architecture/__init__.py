"""Tests of the source itself: imports, docs, wheel, children."""
