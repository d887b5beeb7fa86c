"""Ontology → graph → dense arrays ⇄ `.npz`."""
