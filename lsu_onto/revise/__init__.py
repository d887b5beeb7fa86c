"""Where a class stands in its `.tax` files, and what these files say after a change of its row or its ids."""
