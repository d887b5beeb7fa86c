"""Running on this machine: progress on the terminal, the memory allocator, and the processes of a distributed run."""
