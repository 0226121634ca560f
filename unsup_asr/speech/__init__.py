"""Audio in, espeak-ng, phones, frame timing, runs of labels."""
