"""The subcommands of `netc`."""
