"""
The command line: arguments, rendering and exit codes.

Holds no rule of how an image is moved. aiohttp, botocore, rich and uvloop are imported only inside the commands that
use them, since together they cost half a second that `transfer --help` must not wait for.
"""

from transfer.cli.main import main, program

__all__ = ["main", "program"]
