"""Chronos: jobs that run at their times or after one another (reference: docs/reference/chronos.md)."""
