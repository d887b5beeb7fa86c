"""`lsu-seg scan`: look through a dataset before any GPU is touched. No torch.

`command.py` is the command, `collect.py` reads files on all cores, `state.py` keeps what was read, `totals.py` adds it
up to a `Report`, `guess.py` names the label space that the files seem to have, `text.py` and `page.py` show it.
"""
