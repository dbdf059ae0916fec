"""What ``bench`` is made of: a file for what is compared of each stage, for memory, and for the profile."""
