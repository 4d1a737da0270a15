"""The graph IR: what a net is after elaboration."""
