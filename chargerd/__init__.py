"""A charging station for e-bikes: relay and meter boards in, sessions and settlements out."""

__version__ = "0.1.0"
