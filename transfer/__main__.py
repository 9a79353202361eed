"""`python -m transfer`: the command line."""

import sys

from transfer.cli import program

sys.exit(program())
