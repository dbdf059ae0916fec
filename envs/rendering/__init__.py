"""Frames of an arm, drawn by compiled code of our own: what moves, how it is drawn, and many frames at once."""
