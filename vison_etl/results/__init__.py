"""The results database: publishing the snapshot, current and history, queries. Only this room touches DuckDB."""
