"""The configuration: YAML with positions in, checked models and the core's plain figures out."""
