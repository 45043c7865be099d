"""Measure and report: the harness, the record it writes, and the baselines it compares with."""
