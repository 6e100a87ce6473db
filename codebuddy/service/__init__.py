"""Completion and search as services: what every front door asks, in this process or the engine."""
