"""Features, phones, words and times of audio: what stages and `transcribe` share."""
