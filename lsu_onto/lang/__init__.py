"""The `.tax` language: grammar, syntax tree, parser."""
