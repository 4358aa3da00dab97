"""Observers: what the broker says of itself, as logs."""
