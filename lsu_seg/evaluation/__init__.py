"""From a model's predictions to figures with intervals, files, and comparisons."""
