"""Frames to segments: silence, clustering, boundaries, pooling."""
