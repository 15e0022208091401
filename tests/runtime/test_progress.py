"""Progress: a bar on a terminal, plain lines in a log."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

WORK = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from fdistill.runtime import progress
progress.LOG_INTERVAL = 0
bar = progress.Progress("training", 4)
for _ in range(4):
    bar.advance(loss=1.25, tokens_per_s=1000.0)
bar.close()
"""


def test_plain_lines_in_a_log():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("training 1/4 (25 %)  loss 1.25  tokens_per_s 1000  ETA 00:00:0")
    assert len(lines) == 4 and "\r" not in done.stderr


def test_a_bar_on_a_terminal():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    subprocess.run([sys.executable, "-c", WORK], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    assert "\r" in shown and "training: 100%" in shown and "loss=1.25" in shown and "(25 %)" not in shown
