"""The lake: partitions and run folders, where they are, atomic replace, scan."""
