"""Thirty changes of code that should change nothing, which `codebuddy eval --robustness` makes."""
