"""What must hold whatever the table says: books kept beside the station, asserted after every event."""
