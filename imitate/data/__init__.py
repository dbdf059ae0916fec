"""Recorded videos: the dataset on disk, its decoded frames, and how batches are sampled from them."""
