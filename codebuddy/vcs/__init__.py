"""The version control system: what git says of the repository."""
