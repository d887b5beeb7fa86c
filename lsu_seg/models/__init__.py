"""Networks, for teachers and students alike."""
