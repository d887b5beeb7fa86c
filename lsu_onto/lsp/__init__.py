"""The language server: `server.py` handles the protocol, and the other modules answer it."""
