"""Training: the embedder and the retrieval-decision head; nothing here runs while completing."""
