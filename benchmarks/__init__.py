"""How fast netc compiles and runs, beside what else one would use; `python -m benchmarks`."""
