"""Poses, read off frames."""
