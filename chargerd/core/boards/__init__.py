"""What is known of boards: each relay and its lease, which open by themselves, which line they hang on."""
