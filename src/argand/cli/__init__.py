"""The `argand` command."""
