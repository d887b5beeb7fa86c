"""Procedurally drawn driving scenes with exact labels."""
