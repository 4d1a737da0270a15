"""Text to checked syntax tree and back: every position, every report."""
