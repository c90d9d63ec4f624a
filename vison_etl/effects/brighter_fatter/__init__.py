"""Brighter-fatter effect: how charge moves the walls of the pixels around it, and images without it."""
