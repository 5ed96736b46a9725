"""The boards: one thread per bus, exact-match transactions, a queue ordered by deadline."""
