"""The protective functions of a port, each in its file, and the image they look at."""
