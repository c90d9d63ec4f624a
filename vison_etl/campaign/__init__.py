"""What was commanded: the tests as data, their structures, the exposures that belong to them, and their limits."""
