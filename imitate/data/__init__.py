"""What is seen: videos, datasets of them, demonstrations, and the cameras that filmed them."""
