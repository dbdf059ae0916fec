"""What ``benchmark_imitation`` and ``benchmark_follow`` are made of."""
