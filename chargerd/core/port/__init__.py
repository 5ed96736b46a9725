"""One port: the table of its states, and what it does in each phase of a session's life."""
