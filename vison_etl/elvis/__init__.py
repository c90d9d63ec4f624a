"""The file formats of the bench: exposure log, housekeeping, frames, scripts."""
