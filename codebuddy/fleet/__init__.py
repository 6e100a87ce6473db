"""Many repositories at once: the list of them, one search over all, work that runs for each."""
