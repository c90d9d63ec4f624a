"""Photon transfer: gain, read noise and turn-off from the variance of flat fields against their mean."""
