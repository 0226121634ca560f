"""Acoustic models: on pseudo-labels self-training, on references the supervised baseline."""
