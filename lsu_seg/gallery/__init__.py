"""What classes look like: for each class of a dataset, a few crops that show it, and the HTML of them.

`candidates.py` says which images to open, `gallery.py` opens them, `crop.py` cuts and outlines, `html.py` writes.
"""
