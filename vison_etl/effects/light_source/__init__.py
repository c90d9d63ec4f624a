"""Flux, shutter and stability of the flat-field source."""
