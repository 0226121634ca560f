"""What a run found, as values, and as text, HTML, Markdown and pictures."""
