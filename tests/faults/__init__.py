"""Faults, injected: what docs/reliability.md promises of each."""
