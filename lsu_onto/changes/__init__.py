"""The breaking changes between two versions of a taxonomy."""
