"""Data sources of the command line, read into arrays named like a net's inputs and targets."""
