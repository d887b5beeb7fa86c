"""Which file declares what, and the stages put together: find, parse, resolve, check."""
