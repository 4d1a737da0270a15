"""Kernels as loop nests: a unit of the plan becomes loops over affine accesses."""
