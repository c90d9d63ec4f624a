"""How far a profile over an edge reaches into the image. Here for who reads profiles without compiling what makes them."""

IMAGE_PX = 10
"""Image pixels on the inner side of an edge."""
