"""Where batches go that were given up."""
