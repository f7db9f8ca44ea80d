"""What a cache would have answered of a recorded stream of keys, by size and policy: ``python -m memo replay``.

Imports the public face of the package, as any user, and of ``_base`` what makes text of figures.
"""

from memo._replay.command import add_options, replay

__all__ = ("add_options", "replay")
