"""Domains that an encoder may have been made blind to."""

from imitate.data.domain import NOMINAL, WIDEST, Domain

USUAL = Domain(scenes=False, **{name: (NOMINAL.get(name, 0.0),) * 2 for name in WIDEST})  # in which nothing differs
