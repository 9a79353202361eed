"""`transfer mirror`: many images, from arguments or a file. Knows no registry; the library mirrors."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from transfer.cli.config import check_file, file_format_options
from transfer.cli.mirror_options import MirrorOptions, mirror_options
from transfer.cli.mirror_report import image_line, report_json, report_lines, summary
from transfer.cli.run import CREDENTIALS, DONE, FAILED, INTERRUPTED, TERMINATED, handle, run

if TYPE_CHECKING:
    from transfer.mirror import MirrorConfig, MirrorReport
    from transfer.mirror.run import MirrorRun
