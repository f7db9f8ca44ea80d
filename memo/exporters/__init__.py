"""Figures of a registry for other programs, each way out an extra of its own.

Imports the package as its users do, and of ``_base`` what makes text of figures.  The face imports none of its modules:
each needs a library that only its users have.
"""

__all__ = ()
