"""The contract with the backend, and the client that keeps it."""
