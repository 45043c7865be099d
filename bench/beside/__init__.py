"""The machine beside a run: clocks, temperature, power, throttling, power mode. Parsers of NVIDIA's tools, and a process that asks them."""
