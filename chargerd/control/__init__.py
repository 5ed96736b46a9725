"""The unix socket through which `chargerctl` speaks to the daemon."""
