"""What stands between the station and the world: order, locks, deadlines, commands."""
