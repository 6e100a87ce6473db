"""Tests of codebuddy.training."""
