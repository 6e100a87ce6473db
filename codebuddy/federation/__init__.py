"""Learning one decision head from many machines' labels, of which only weights travel."""
