"""Figures for Prometheus, on a local address if the configuration names one; looked up when they are asked for."""
