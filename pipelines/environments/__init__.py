"""The commands, on other people's environments: what the presets called ``environment`` run."""
