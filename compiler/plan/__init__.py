"""The plan of a function: what is stored and where, what is fused, in which order."""
