"""What ``embed`` is made of: the data that it opens, what it is measured by, and the training."""
