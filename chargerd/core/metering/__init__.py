"""What readings add up to: the newest values and their age, a held level, a session's totals."""
