"""Data that ships with the package: the low-polygon arms, the default encoder and demonstration."""
