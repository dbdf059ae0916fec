"""What is in a picture beside the arm: light, furniture, what lies around, and what is behind."""
