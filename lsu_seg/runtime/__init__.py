"""A run on this machine: progress on the terminal, memory that is freed, processes that find each other."""
