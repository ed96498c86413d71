"""Becoming the run that owns the attempt, or its twin that keeps still."""

from worker.control import Control
from worker.door import Door
from worker.errors import AttemptOwnedError
from worker.lines import say
from worker.patience import Patience
from worker.protocol import Claim
from worker.reporting import echo


def claim(door: Door, patience: Patience, control: Control) -> Claim:
    """Claims the attempt. Raises what the door refuses it with, AwayError, InterruptedWaitError.

    A twin waits here, writing nothing, until the attempt is over (AttemptFinalError, AttemptStaleError).
    """
    try:
        return door.claim(patience)
    except AttemptOwnedError as error:
        echo(say(f"{error.message}: this pod waits until the attempt is over"), {})
    # A twin that failed would end the Job of the run that works: it has all the patience there is.
    endless = Patience(float("inf"), patience.first, patience.most, control.stopping)
    outage = endless.outage()
    while True:
        try:
            return door.claim(endless)
        except AttemptOwnedError as error:
            outage.pause(str(error))
