"""`@ag.compile`: Python functions on tensors become static programs, with their state captured."""
