"""A component made with slixmpp, steered by a test: see line_protocol.py for how. It comes back when it is cut."""

import asyncio
import sys

from line_protocol import CommandReader, emit, missing

try:
    from slixmpp import ComponentXMPP
except ImportError:
    missing("python3-slixmpp")


class Component(ComponentXMPP):
    """Repeats to everybody what it is told, and lets everybody see it."""

    def __init__(self, domain, secret, port):
        super().__init__(domain, secret, "127.0.0.1", port)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self["xep_0030"].add_identity(category="gateway", itype="xmpp", name="The Globe")
        self.add_event_handler("session_start", lambda _: emit("online"))
        self.add_event_handler("message", self.repeat)
        self.add_event_handler("disconnected", self.lost)
        self.add_event_handler("connection_failed", self.lost)

    def repeat(self, message):
        if message["type"] in ("chat", "normal") and message["body"]:
            emit("message", sender=str(message["from"]), to=str(message["to"]), body=message["body"])
            message.reply("You said: %s" % message["body"]).send()

    def lost(self, reason):
        emit("offline", reason=str(reason or ""))
        self.loop.call_later(0.1, self.connect)


def main():
    domain, secret, port = sys.argv[1:]
    component = Component(domain, secret, int(port))
    component.connect()
    component.loop.run_forever()


main()
