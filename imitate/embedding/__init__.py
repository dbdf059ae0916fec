"""What a frame means: encoders, objectives, and how they are trained."""
