"""One gain for all wavelengths: photon transfer of several tests together."""
