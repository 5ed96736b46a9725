"""What spans several ports: supply and queue, lines and sessions on them, wiring, what is done by the clock."""
