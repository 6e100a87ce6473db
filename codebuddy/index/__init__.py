"""The index of a repository: which files, what is in them, and how they are searched."""
