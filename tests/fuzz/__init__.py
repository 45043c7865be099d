"""Readers fed with what no writer wrote: ``python -m tests.fuzz --minutes 10``, or ``make fuzz MINUTES=10``."""
