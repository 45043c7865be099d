"""A bundle run for minutes or hours: whether its memory, its latencies and its output stay what they were."""
