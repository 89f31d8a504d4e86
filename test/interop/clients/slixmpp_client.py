"""slixmpp, steered by a test: see line_protocol.py for how."""

import asyncio
import sys
from pathlib import Path

from line_protocol import NS_DELAY, NS_SEQUENCE, CommandReader, emit, missing

try:
    from slixmpp import ClientXMPP
    from slixmpp.exceptions import IqError, IqTimeout
    from slixmpp.xmlstream.handler import Callback
    from slixmpp.xmlstream.matcher import MatchXPath

    from slixmpp_resumption import Resumption
except ImportError:
    missing("python3-slixmpp")


def attributes(stanza, name, namespace):
    return [dict(child.attrib) for child in stanza.xml.findall("{%s}%s" % (namespace, name))]


def known(roster):
    return {jid: roster[jid] for jid in roster if roster[jid]["subscription"] != "none"}


class Client(ClientXMPP):
    def __init__(self, command):
        super().__init__("%s/%s" % (command["jid"], command["resource"]), command["password"])
        self.ca_certs = Path(command["caFile"])
        # The library looks the host up even where an address is given, and then takes the port from here.
        self.default_port = command["port"]
        self.use_ipv6 = False
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        for plugin in ("xep_0030", "xep_0092", "xep_0199", "xep_0203"):
            self.register_plugin(plugin)
        self["xep_0092"].software_name = "slixmpp"
        self["xep_0092"].version = "1"
        self.mechanism = ""
        self.add_event_handler("auth_success", self.note_mechanism)
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: emit("failed", reason="no mechanism succeeded"))
        self.add_event_handler("ssl_invalid_chain", lambda error: emit("failed", reason=str(error)))
        self.add_event_handler("disconnected", lambda reason: emit("offline", reason=str(reason or "")))
        for name, seen in (("message", self.message_seen), ("presence", self.presence_seen)):
            self.register_handler(Callback("seen " + name, MatchXPath("{jabber:client}" + name), seen))
        self.add_event_handler("roster_update", self.roster_seen)

        def connect():
            self.connect(
                (command["host"], command["port"]),
                use_ssl=command["transport"] == "direct-tls",
                disable_starttls=command["transport"] == "direct-tls",
            )

        self.resumption = None
        if command["resumes"]:
            self.resumption = Resumption(self, connect, lambda: emit("resumed"))
        else:
            self.add_event_handler("connection_failed", lambda error: emit("failed", reason=str(error)))
        connect()

    def note_mechanism(self, _):
        self.mechanism = self["feature_mechanisms"].mech.name

    def started(self, _):
        emit("online", jid=str(self.boundjid), mechanism=self.mechanism)

    def message_seen(self, message):
        emit(
            "message",
            sender=str(message["from"]),
            type=message["type"],
            body=message["body"],
            sequences=attributes(message, "sequence", NS_SEQUENCE),
            delays=attributes(message, "delay", NS_DELAY),
        )

    def presence_seen(self, presence):
        kind = presence.xml.get("type") or "available"
        emit("presence", sender=str(presence["from"]), type=kind, status=presence["status"])

    def roster_seen(self, iq):
        if iq["type"] == "set":
            for jid, item in iq["roster"]["items"].items():
                emit("roster-push", jid=str(jid), subscription=item["subscription"])

    async def perform(self, command):
        what = command["command"]
        to = command.get("to")
        if what == "presence":
            self.send_presence(pto=to, ptype=command.get("type"), pstatus=command.get("status"))
        elif what == "chat":
            for body in command["bodies"]:
                if self.resumption:
                    await self.resumption.present.wait()
                self.send_message(mto=to, mbody=body, mtype="chat")
        elif what == "roster":
            answer = await self.get_roster()
            # RFC 6121 2.6.3: an empty result says that the roster the client has is still the right one.
            items = answer["roster"]["items"] or known(self.client_roster)
            return [{"jid": str(jid), "subscription": item["subscription"]} for jid, item in items.items()]
        elif what == "roster-set":
            await self.update_roster(to, name=command["name"])
        elif what == "ping":
            await self["xep_0199"].send_ping(to)
        elif what == "version":
            version = (await self["xep_0092"].get_version(to))["software_version"]
            return {"name": version["name"], "version": version["version"]}
        elif what == "disco-info":
            info = (await self["xep_0030"].get_info(jid=to, local=False))["disco_info"]
            identities = [{"category": category, "type": kind} for category, kind, *_ in info["identities"]]
            return {"identities": identities, "features": sorted(info["features"])}
        elif what == "logout":
            if self.resumption:
                self.resumption.ends = True
            self.disconnect()
        else:
            raise ValueError("unknown command " + what)
        return None

    async def answer(self, command):
        try:
            emit("result", id=command["id"], value=await self.perform(command))
        except (IqError, IqTimeout) as error:
            emit("error", id=command["id"], reason=str(error))


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    reader = CommandReader()
    clients = []

    def commands_came():
        commands = reader.read()
        if commands is None:
            sys.exit(0)
        for command in commands:
            if command["command"] == "login":
                clients.append(Client(command))
                emit("result", id=command["id"], value=None)
            else:
                loop.create_task(clients[-1].answer(command))

    loop.add_reader(0, commands_came)
    emit("ready")
    loop.run_forever()


main()
