"""What ``torture`` is made of."""
