"""What small changes of a place do to its completion: `codebuddy eval --robustness`."""
