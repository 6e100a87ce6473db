"""Answers to questions about a repository: from what a search found, each claim with its line."""
