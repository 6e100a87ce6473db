"""The ranker of retrieved pieces: labels without people or models, and the fit of its weights."""
