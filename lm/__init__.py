"""Text to phones, n-gram language models and decoding."""
