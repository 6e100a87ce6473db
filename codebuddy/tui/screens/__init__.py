"""What fills the terminal: the workspace, and what opens over it."""
