"""The path of a suggestion, one module per step; only `pipeline` knows their order."""
