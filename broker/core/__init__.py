"""Decisions: synchronous, pure, without I\/O."""
