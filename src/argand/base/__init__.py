"""What every room needs and nobody owns: dtypes, shapes, trees, errors, settings, events."""
