"""From a model's predictions to metrics with intervals, files, and comparisons."""
