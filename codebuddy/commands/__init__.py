"""One command per file; each module's `command` is what the command line loads."""
