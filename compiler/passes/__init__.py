"""Passes: graph to graph, equal in value."""
