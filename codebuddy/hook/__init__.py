"""The commit hooks: lint rules that use the repository's index check what is staged."""
