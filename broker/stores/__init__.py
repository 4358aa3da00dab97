"""Where positions and leases are kept."""
