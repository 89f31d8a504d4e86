"""Has slixmpp come back by itself and resume its session (XEP-0198), without losing what the library would lose."""

import asyncio
from collections import deque

from slixmpp.plugins.xep_0198.stanza import Resumed
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath


class Resumption:
    """
    Interop: sending <resume/> the library forgets what it has sent and nobody has confirmed, and a stanza that waits
    to be written when the connection breaks is forgotten too. Both are kept here and given back to it before it takes
    the server's count out of <resumed/> and sends the rest again. Interop: what it is given to send while it is away
    would overtake what it sends again, so that nothing may be given to it before `present`.
    """

    def __init__(self, client, connect, resumed):
        self.client = client
        self.connect = connect
        self.resumed = resumed
        self.present = asyncio.Event()
        self.unconfirmed = deque()
        self.ends = False
        # Ahead of the plugin's own.
        client.register_handler(
            Callback("give back", MatchXPath(Resumed.tag_name()), self.give_back, instream=True)
        )
        client.register_plugin("xep_0198")
        self.plugin = client["xep_0198"]
        client.add_filter("out_sync", self.keep)
        client.add_event_handler("stanza_acked", lambda _: self.unconfirmed.popleft())
        client.add_event_handler("session_start", lambda _: self.present.set())
        client.add_event_handler("session_resumed", self.session_resumed)
        client.add_event_handler("disconnected", self.disconnected)
        client.add_event_handler("connection_failed", self.connect_again)

    def keep(self, stanza):
        # Counted from <enable/> on; between two connections too.
        if isinstance(stanza, (Message, Presence, Iq)) and (self.plugin.enabled_out or self.plugin.sm_id):
            self.unconfirmed.append(stanza)
        return stanza

    def give_back(self, _):
        self.plugin.unacked_queue = deque(enumerate(self.unconfirmed))

    def session_resumed(self, _):
        self.present.set()
        self.resumed()

    def disconnected(self, reason):
        self.present.clear()
        self.connect_again(reason)

    def connect_again(self, _):
        # Not at once: the library's own attempt, which would wait for a second, is made behind its event, and replaced.
        if not self.ends:
            self.client.loop.call_soon(self.connect)
