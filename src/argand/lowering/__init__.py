"""From ops to loops: index algebra, iteration spaces, elements on demand, parallel loops."""
