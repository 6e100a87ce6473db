"""The code embedder: its data, its vocabulary, its training and its figures."""
