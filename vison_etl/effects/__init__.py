"""One folder per physical effect."""
