"""The supply above the ports: circuits in a tree, their contactors and inputs, what is in or out of service."""
