"""Configs, artifacts, stages with content keys, records and status. Knows nothing of speech."""
