"""Commands in: what the backend asks for, at most once each, over restarts too."""
