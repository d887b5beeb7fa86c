"""Which image belongs to which label, and what is wrong with a folder. No torch."""
