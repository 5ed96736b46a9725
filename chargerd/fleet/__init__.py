"""Many simulated gateways in one process: real daemons, turned by one thread, on machines that are none."""
