"""News out: what ports, boards and the gateway are doing, into the journal and to whoever shows it."""
