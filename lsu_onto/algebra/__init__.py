"""What maps say together: they compose, invert, restrict a source, agree or contradict each other, and unite."""
