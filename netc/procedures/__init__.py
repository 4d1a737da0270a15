"""Procedures around compiled nets that are not training by gradients: one file for each family.

Invariant: what a net computes or learns goes through its compiled functions; a procedure reads and
writes `model.params` and calls the public methods of a model, nothing else.
"""
