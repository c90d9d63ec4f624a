"""Offsets, temporal noise and the structure of the bias."""
