"""nbxmpp, the library of Gajim, steered by a test: see line_protocol.py for how."""

import sys

from line_protocol import NS_DELAY, NS_SEQUENCE, CommandReader, emit, missing

try:
    from gi.repository import Gio, GLib
except ImportError:
    missing("python3-gi")
try:
    from nbxmpp.client import Client as NbxmppClient
    from nbxmpp.const import ConnectionProtocol, ConnectionType
    from nbxmpp.protocol import JID, Message, NodeProcessed
    from nbxmpp.structs import StanzaHandler
except ImportError:
    missing("python3-nbxmpp")


def attributes(stanza, name, namespace):
    return [dict(tag.getAttrs()) for tag in stanza.getTags(name, namespace=namespace)]


class Client:
    def __init__(self, command):
        user, domain = command["jid"].split("@")
        # The system's trust is left alone: this process trusts Posthorn's authority, and it alone.
        Gio.TlsBackend.get_default().set_default_database(Gio.TlsFileDatabase.new(command["caFile"]))
        self.client = NbxmppClient(log_context=user)
        self.client.set_domain(domain)
        self.client.set_username(user)
        self.client.set_password(command["password"])
        self.client.set_resource(command["resource"])
        if command["transport"] == "websocket":
            self.client.set_custom_host(command["url"], ConnectionProtocol.WEBSOCKET, ConnectionType.DIRECT_TLS)
        else:
            is_direct = command["transport"] == "direct-tls"
            kind = ConnectionType.DIRECT_TLS if is_direct else ConnectionType.START_TLS
            address = "%s:%d" % (command["host"], command["port"])
            self.client.set_custom_host(address, ConnectionProtocol.TCP, kind)
        self.mechanism = ""
        self.is_online = False
        self.client.subscribe("connected", self.connected)
        self.client.subscribe("connection-failed", self.failed)
        self.client.subscribe("disconnected", self.disconnected)
        self.client.subscribe("stanza-sent", self.sent)
        self.client.register_handler(StanzaHandler(name="message", callback=self.message_seen, priority=60))
        self.client.register_handler(StanzaHandler(name="presence", callback=self.presence_seen, priority=60))
        self.client.register_handler(
            StanzaHandler(name="iq", callback=self.roster_seen, typ="set", ns="jabber:iq:roster", priority=60)
        )
        self.client.get_module("SoftwareVersion").set_software_version("nbxmpp", "1")
        self.client.connect()

    def sent(self, _client, _signal, stanza):
        if not isinstance(stanza, str) and stanza.getName() == "auth":
            self.mechanism = stanza.getAttr("mechanism")

    def connected(self, _client, _signal):
        self.is_online = True
        emit("online", jid=str(self.client.get_bound_jid()), mechanism=self.mechanism)

    def failed(self, _client, _signal):
        emit("failed", reason=" ".join(str(part) for part in self.client.get_error()))

    def disconnected(self, _client, _signal):
        reason = " ".join(str(part) for part in self.client.get_error())
        emit("offline" if self.is_online else "failed", reason=reason)

    def message_seen(self, _client, stanza, properties):
        emit(
            "message",
            sender=str(properties.from_),
            type=properties.type.value,
            body=properties.body or "",
            sequences=attributes(stanza, "sequence", NS_SEQUENCE),
            delays=attributes(stanza, "delay", NS_DELAY),
        )

    def presence_seen(self, _client, _stanza, properties):
        kind = properties.type.value or "available"
        emit("presence", sender=str(properties.jid), type=kind, status=properties.status or "")

    def roster_seen(self, _client, _stanza, properties):
        item = properties.roster.item
        emit("roster-push", jid=str(item.jid), subscription=item.subscription)
        raise NodeProcessed  # or the library answers the push a second time, with an error

    def perform(self, command):
        what = command["command"]
        to = command.get("to")
        recipient = None if to is None else JID.from_string(to)
        if what == "presence":
            status = command.get("status")
            self.client.get_module("BasePresence").send(jid=recipient, typ=command.get("type"), status=status)
        elif what == "chat":
            for body in command["bodies"]:
                self.client.send_stanza(Message(to=recipient, body=body, typ="chat"))
        elif what == "logout":
            self.client.disconnect()
        elif what == "roster":
            return self.ask(command, "Roster", "request_roster", items_of)
        elif what == "roster-set":
            return self.ask(command, "Roster", "set_item", nothing_of, recipient, command["name"])
        elif what == "ping":
            return self.ask(command, "Ping", "ping", nothing_of, recipient)
        elif what == "version":
            return self.ask(command, "SoftwareVersion", "request_software_version", version_of, recipient)
        elif what == "disco-info":
            return self.ask(command, "Discovery", "disco_info", info_of, recipient)
        else:
            raise ValueError("unknown command " + what)
        emit("result", id=command["id"], value=None)

    def ask(self, command, module, request, value_of, *arguments):
        task = getattr(self.client.get_module(module), request)(*arguments)

        def finished(done):
            try:
                emit("result", id=command["id"], value=value_of(done.finish()))
            except Exception as error:  # whatever the library made of the answer: the test fails with it
                emit("error", id=command["id"], reason=repr(error))

        task.add_done_callback(finished, weak=False)


def nothing_of(_result):
    return None


def items_of(roster):
    return [{"jid": str(item.jid), "subscription": item.subscription} for item in roster.items or []]


def version_of(result):
    return {"name": result.name, "version": result.version}


def info_of(result):
    identities = [{"category": identity.category, "type": identity.type} for identity in result.identities]
    return {"identities": identities, "features": sorted(result.features)}


def main():
    loop = GLib.MainLoop()
    reader = CommandReader()
    clients = []

    def commands_came(_descriptor, _condition):
        commands = reader.read()
        if commands is None:
            loop.quit()
            return False
        for command in commands:
            if command["command"] == "login":
                clients.append(Client(command))
                emit("result", id=command["id"], value=None)
            else:
                clients[-1].perform(command)
        return True

    GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, 0, GLib.IOCondition.IN | GLib.IOCondition.HUP, commands_came)
    emit("ready")
    loop.run()
    sys.exit(0)


main()
