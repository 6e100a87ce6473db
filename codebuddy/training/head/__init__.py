"""Training of the retrieval-decision head: labels without people, fitting, evaluation."""
