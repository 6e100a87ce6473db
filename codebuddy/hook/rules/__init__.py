"""The rules, one subject a file: each a function from a review to its findings."""
