"""`lsu-seg scan`: check a dataset before any GPU is used. No torch.

`command.py` is the command, `collect.py` reads files on all cores, `state.py` stores what was read, `totals.py` sums it
up in a `Report`, `guess.py` names the label space that the files seem to have, `text.py` and `page.py` display it.
"""
