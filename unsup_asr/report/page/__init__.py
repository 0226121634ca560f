"""Pages in one HTML file: reports, and the style and script that the page of `serve` shares."""
