"""HTTP: the connections, the table of routes, and a module for each protocol."""
