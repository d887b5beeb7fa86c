"""Settings for the tests of `lsu_seg`, made before anything imports torch."""

import os

# The networks here are tiny: more threads only wait for each other. Processes that a test starts inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
