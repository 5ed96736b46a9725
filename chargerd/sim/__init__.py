"""A site without copper: boards, loads, lines, faults and riders, on a clock of their own."""
