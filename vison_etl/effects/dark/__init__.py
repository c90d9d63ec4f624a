"""Dark current, glow, hot pixels, cosmic rays and the master dark."""
