"""The language server: `server.py` and what it asks. `command.py` starts it, and is light to import."""
