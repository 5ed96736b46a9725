"""A world of boards, loads and riders on a clock of its own."""
