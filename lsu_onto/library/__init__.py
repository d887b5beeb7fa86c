"""Which file declares what, and the pipe from a name to a checked ontology: find, parse, resolve, check."""
