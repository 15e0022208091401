"""How a script stops on a signal, on Ctrl-C, and shortly before a SLURM job's time is over."""

import os
import signal
import time

import pytest
from fdistill.runtime.interruption import END_TIME, SIGNALS, STATUS, Interruption, Stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_is_noted_and_nothing_else(number, caplog):
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption() as interruption:
        assert interruption.reason is None
        os.kill(os.getpid(), number)
        assert interruption.reason == number.name
        with pytest.raises(SystemExit) as end:
            interruption.stop("step 3 of 9")
    assert end.value.code == STATUS == 75
    assert caplog.messages == [f"{number.name}: stopped at step 3 of 9; run again to go on"]
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_second_ctrl_c_ends_at_once():
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.reason == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_work_at_once_is_stopped_once():
    """SLURM may send SIGUSR1 and then SIGTERM: the second must not interrupt what the first has started."""
    with Interruption() as interruption:
        with pytest.raises(Stopped), interruption.at_once():
            os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        with interruption.at_once():
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("remaining", "expected"), [(3600, 3600 - 180), (100, 50), (-5, 0)])
def test_the_alarm_is_set_for_shortly_before_the_job_ends(monkeypatch, remaining, expected):
    """A short job runs for half of its time, so that it makes progress."""
    monkeypatch.setenv(END_TIME, str(int(time.time()) + remaining))
    with Interruption() as interruption:
        if expected:
            assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(expected, abs=2)
        else:
            time.sleep(0.05)
            assert interruption.reason == "the job's time is nearly over"
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_without_an_end_of_the_job_there_is_no_alarm(monkeypatch):
    for value in (None, "", "UNLIMITED"):
        monkeypatch.delenv(END_TIME, raising=False) if value is None else monkeypatch.setenv(END_TIME, value)
        with Interruption():
            assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
