"""An adapter of the repository itself: what it learns from, its training, and its trial."""
