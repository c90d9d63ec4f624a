"""The bench as numbers: photon, charge, transfer, amplifier, ADC, ELVIS files, and the truth they came from."""
