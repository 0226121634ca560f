"""Speech recognition without transcripts: the spine (data, stages, command line, reports)."""
