"""Corpora: each writes manifests, unpaired text and sealed references."""
