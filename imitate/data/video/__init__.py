"""Videos: each frame as a player shows it, and when; and how they are written."""
