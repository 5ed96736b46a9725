"""The journal: sessions, latches, commands and the ledger, durable in SQLite."""
