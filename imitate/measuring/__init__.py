"""How good an embedding or a reward is, in figures and pictures."""
