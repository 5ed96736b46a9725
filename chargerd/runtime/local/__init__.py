"""Requests of the control socket: what a technician asks for and changes on site."""
