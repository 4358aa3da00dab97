"""The command line: commands, signals, logging, exit codes."""
