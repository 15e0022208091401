"""Progress: a bar on a terminal, plain lines in a log."""

import fcntl
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from fdistill.runtime import progress

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
    line = r"training 1/4 \(25 %\)  [\d.e+]+/s  loss 1.25  tokens_per_s 1000  ETA 00:00:00"
    assert re.fullmatch(line, lines[0])
    assert len(lines) == 4 and "\r" not in done.stderr


def test_a_bar_on_a_terminal():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    subprocess.run([sys.executable, "-c", WORK], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    assert "\r" in shown and "training: 100%" in shown and "loss=1.25" in shown and "(25 %)" not in shown


def test_a_slow_step_has_its_time_and_a_long_way_more_than_a_day(monkeypatch, caplog):
    clock = iter([0.0, 100.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        progress.Progress("training", 1000, done=1).advance()
    assert caplog.messages == ["training 2/1000 (0 %)  100 s each  ETA 27:43:20"]
