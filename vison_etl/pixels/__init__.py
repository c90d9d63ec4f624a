"""Arrays in, arrays out: no file, no table."""
