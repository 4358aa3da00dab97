"""What runs a function's handler: in this process, in child processes, behind HTTP."""
