"""The commit hooks: rules that know the repository judge what is staged, in a line each."""
