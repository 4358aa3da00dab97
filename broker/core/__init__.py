"""Decisions: synchronous and pure."""
