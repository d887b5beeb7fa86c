"""A training run: what is checked before it, shown and refreshed during it."""
