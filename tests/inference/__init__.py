"""Tests of models and runtimes."""
