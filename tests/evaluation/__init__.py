"""Tests of codebuddy.evaluation."""
