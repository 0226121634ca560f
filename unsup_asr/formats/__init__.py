"""What lies on disk: manifests, hypotheses, phone text, ragged and sharded arrays, TextGrid."""
