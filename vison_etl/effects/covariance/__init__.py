"""Covariances between pixels of flat fields against signal: model, fit, sum rule. Shared by effects; itself none."""
