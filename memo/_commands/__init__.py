"""What looks at other processes from the command line: ``python -m memo top``, ``ps``, ``stats`` and ``clear``.

Imports the public face of the package and of ``exporters``, as any user, and of ``_base`` what makes text of figures.
"""

from memo._commands.options import add_commands
from memo._commands.run import COMMANDS, run

__all__ = ("COMMANDS", "add_commands", "run")
