"""What backend and gateway say to each other, whatever carries it: payloads, commands, documents."""
