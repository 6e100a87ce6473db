"""The interactive front door: an editor in the terminal with suggestions as one types."""
