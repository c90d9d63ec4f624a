"""Calibration products as files: written and read back, by us or by plain astropy."""
