"""Findings as text, JSON and SARIF; an ontology as a table; the pages of the rules."""
