"""Upstreams: waveforms to frame-level representations, behind one contract."""
