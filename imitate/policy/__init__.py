"""PPO, and environments as stable-baselines3 wants them."""
