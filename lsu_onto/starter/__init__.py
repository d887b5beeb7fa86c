"""A first `.tax` file, from a class list, from label files, or from nothing."""
