"""Where the workers of an extraction run: in this process, in several, on a cluster."""
