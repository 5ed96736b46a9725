"""The cost of a configuration on its lines: what is read how often, how soon it is seen, how much more fits."""
