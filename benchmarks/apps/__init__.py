"""Apps that benchmarks start: each runs in a process of its own."""
