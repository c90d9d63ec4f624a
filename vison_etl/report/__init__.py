"""Pages: what the published snapshot holds, as self-contained HTML."""
