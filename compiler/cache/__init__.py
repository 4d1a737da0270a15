"""Compiled programs on disk; a cache speeds up and decides nothing."""
