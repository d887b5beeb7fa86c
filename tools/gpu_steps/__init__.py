"""What `tools/gpu_check.py` does, a module per step. Each has `run(size, add)`, and runs in a process of its own."""
