"""Response of the pixels after an edge of light: electronic bounce, deferred charge, full well from the parallel overscan."""
