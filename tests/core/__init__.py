"""Tests of the modules that every room uses."""
