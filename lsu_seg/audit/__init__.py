"""The audit of a map: the sample that a labelling run keeps, and what is said of findings."""
