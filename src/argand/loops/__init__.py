"""Loop nests: the small IR between the graph and machine code, and how ops lower to it."""
