"""People's own videos, of whatever they show."""
