"""Weights and the runtimes that continue text with them: catalog, downloads, generators."""
