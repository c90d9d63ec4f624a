"""What the hardware is: geometry, keys, limits, blocks, chambers, as data files with thin typed accessors."""
