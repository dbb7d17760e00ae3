"""Every speed and memory figure that a page of the project states, as a command: `python -m benchmarks [group ...]`."""
