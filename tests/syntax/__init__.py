"""Tests of codebuddy.syntax."""
