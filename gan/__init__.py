"""From segments to phones without labels: matching, the adversarial game, selection."""
