"""What maps say together: they compose, invert, restrict a source, and agree or contradict each other."""
