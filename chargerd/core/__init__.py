"""The decisions: a pure function from events to commands and facts. Standard library only."""
