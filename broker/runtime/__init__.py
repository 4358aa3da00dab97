"""Where tasks start."""
