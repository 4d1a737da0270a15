"""Gradients as readable mathematics: what a student would write, step by step.

Invariant: every line comes from the graph and its derivative rules; only how it is written is new.
"""
