"""The commands of `lsu-onto`, a file each: what they take, what they print, how they end. No logic."""
