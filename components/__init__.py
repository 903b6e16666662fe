"""What is deployed: one ComponentResource a file, plus the pure functions that describe them."""
