"""What the test and a client say to each other: one JSON object a line, commands on standard input, events on output."""

import json
import os
import sys

NS_SEQUENCE = "urn:posthorn:sequence:0"
NS_DELAY = "urn:xmpp:delay"


def emit(event, **fields):
    """Writes one event. The test reads it at once."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def missing(package):
    """Ends the client whose library is not installed: the test fails and says what to install."""
    emit("missing", package=package)
    sys.exit(1)


class CommandReader:
    """Cuts standard input into commands. For an event loop that says when there is something to read."""

    def __init__(self, descriptor=0):
        self.descriptor = descriptor
        self.rest = b""

    def read(self):
        """The commands that have come, or None when the test has gone: the client then has nothing left to do."""
        chunk = os.read(self.descriptor, 65536)
        if not chunk:
            return None
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]
