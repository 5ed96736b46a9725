"""The commands: `chargerd` and `chargerctl`."""
