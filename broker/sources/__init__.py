"""Queues and streams, behind the ports."""
