"""The commands. Each is a frozen dataclass of settings, ``run(settings)`` and ``main()``.

They talk to each other only through run directories, and are run from a checkout:
``python -m pipelines record``.
"""
