"""What spans several ports: requests, supply and queue, boards and lines, wiring, what is done by the clock."""
