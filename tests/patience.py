"""How long a test waits for what is to come."""

PATIENCE_S = 90.0
"""Seconds. Only what never comes takes so long, so it may be far more than the busiest machine needs."""
