"""The process and its machine: clocks, threads that are watched, words to systemd, log lines, stopping."""
