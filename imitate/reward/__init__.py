"""How near a robot is to what it is shown, and the environments that are rewarded for it."""
