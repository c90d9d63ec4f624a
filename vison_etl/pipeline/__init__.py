"""The engine: ingest, analysis, and where work runs."""
