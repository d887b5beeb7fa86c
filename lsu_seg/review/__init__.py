"""Labels out to people who correct them, and their corrections back.

`doubt.py` finds what the teacher was least sure of, `choose.py` which images to show, `to_*.py` write the tasks of a
tool, `from_*.py` read what comes back, `returned.py` checks it against S(d). What is kept is `pseudo/corrections.py`.
"""

TOOLS = {"cvat": "CVAT", "labelstudio": "Label Studio", "fiftyone": "FiftyOne"}
"""The tools, by their names on the command line."""
