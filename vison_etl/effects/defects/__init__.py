"""Defects of pixels and columns, and the mask of bad pixels."""
