"""A component made with slixmpp, steered by a test: see line_protocol.py for how. It comes back when it is cut."""

import sys

from line_protocol import CommandReader, emit, missing

try:
    from slixmpp import ComponentXMPP
    from slixmpp.exceptions import IqError, IqTimeout
    from slixmpp.stanza import Message
    from slixmpp.xmlstream import ET
except ImportError:
    missing("python3-slixmpp")


class Component(ComponentXMPP):
    """Repeats to everybody what it is told, and lets everybody see it."""

    def __init__(self, domain, secret, port):
        super().__init__(domain, secret, "127.0.0.1", port)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0356")
        self.add_event_handler("privileges_advertised", lambda _: emit("privileged", **self.granted))
        self["xep_0030"].add_identity(category="gateway", itype="xmpp", name="The Globe")
        self.add_event_handler("session_start", lambda _: emit("online"))
        self.add_event_handler("message", self.repeat)
        self.add_event_handler("disconnected", self.lost)
        self.add_event_handler("connection_failed", self.lost)

    def repeat(self, message):
        if message["type"] in ("chat", "normal") and message["body"]:
            emit("message", sender=str(message["from"]), to=str(message["to"]), body=message["body"])
            message.reply("You said: %s" % message["body"]).send()

    @property
    def granted(self):
        return {name: kind for name, kind in self["xep_0356"].granted_privileges.items() if name != "iq"}

    async def perform(self, command):
        what, jid = command["command"], command["jid"]
        if what == "roster":
            items = (await self["xep_0356"].get_roster(jid))["roster"]["items"]
            return {str(contact): item["subscription"] for contact, item in items.items()}
        if what == "roster-set":
            await self["xep_0356"].set_roster(jid, command["items"])
        elif what == "carbon":
            # What the owner has said elsewhere, as a gateway tells it.
            message = Message()
            message["from"], message["to"] = jid, command["to"]
            message["type"], message["body"], message["id"] = "chat", command["body"], "said-elsewhere"
            self["xep_0356"].send_privileged_message(message)
        elif what == "bookmarks":
            iq = self.make_iq_get(ito=jid, ifrom=self.boundjid.bare)
            request = ET.SubElement(iq.xml, "{urn:xmpp:privilege:2}privileged_iq")
            inner = ET.SubElement(request, "{jabber:client}iq", {"type": "get", "id": "inner"})
            query = ET.SubElement(inner, "{jabber:iq:private}query")
            ET.SubElement(query, "{storage:bookmarks}storage")
            answer = await iq.send()
            return answer.xml.find(".//{jabber:client}iq[@id='inner']").get("type")
        return None

    async def answer(self, command):
        try:
            emit("answer", value=await self.perform(command))
        except (IqError, IqTimeout) as error:
            emit("answer", problem=str(error))

    def lost(self, reason):
        emit("offline", reason=str(reason or ""))
        self.loop.call_later(0.1, self.connect)


def main():
    domain, secret, port = sys.argv[1:]
    component = Component(domain, secret, int(port))
    component.connect()
    reader = CommandReader()

    def read():
        commands = reader.read()
        if commands is None:
            component.loop.stop()
        for command in commands or ():
            component.loop.create_task(component.answer(command))

    component.loop.add_reader(reader.descriptor, read)
    component.loop.run_forever()


main()
