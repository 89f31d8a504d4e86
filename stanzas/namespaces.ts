/** Every XML namespace Posthorn knows, by the name its specification gives it. */
export const NS = {
  CLIENT: 'jabber:client',
  SERVER: 'jabber:server',
  COMPONENT: 'jabber:component:accept', // XEP-0114
  XML: 'http://www.w3.org/XML/1998/namespace',
  XMLNS: 'http://www.w3.org/2000/xmlns/',
  // RFC 6120
  STREAMS: 'http://etherx.jabber.org/streams',
  STREAM_ERRORS: 'urn:ietf:params:xml:ns:xmpp-streams',
  STANZA_ERRORS: 'urn:ietf:params:xml:ns:xmpp-stanzas',
  TLS: 'urn:ietf:params:xml:ns:xmpp-tls',
  SASL: 'urn:ietf:params:xml:ns:xmpp-sasl',
  BIND: 'urn:ietf:params:xml:ns:xmpp-bind',
  // RFC 3921; still asked for by clients that ignore <optional/>
  SESSION: 'urn:ietf:params:xml:ns:xmpp-session',
  // RFC 6121
  ROSTER: 'jabber:iq:roster',
  ROSTER_VERSIONING: 'urn:xmpp:features:rosterver',
  PRE_APPROVAL: 'urn:xmpp:features:pre-approval',
  // RFC 7395
  FRAMING: 'urn:ietf:params:xml:ns:xmpp-framing',
  // XEPs
  DATA_FORM: 'jabber:x:data', // XEP-0004
  DISCO_INFO: 'http://jabber.org/protocol/disco#info', // XEP-0030
  DISCO_ITEMS: 'http://jabber.org/protocol/disco#items', // XEP-0030
  MUC_USER: 'http://jabber.org/protocol/muc#user', // XEP-0045
  PRIVATE: 'jabber:iq:private', // XEP-0049
  PUBSUB_EVENT: 'http://jabber.org/protocol/pubsub#event', // XEP-0060
  RESULT_SET: 'http://jabber.org/protocol/rsm', // XEP-0059
  CHAT_STATES: 'http://jabber.org/protocol/chatstates', // XEP-0085
  VERSION: 'jabber:iq:version', // XEP-0092
  CAPS: 'http://jabber.org/protocol/caps', // XEP-0115
  CONTACT: 'http://jabber.org/network/serverinfo', // XEP-0157
  OFFLINE: 'msgoffline', // XEP-0160
  RECEIPTS: 'urn:xmpp:receipts', // XEP-0184
  STREAM_MANAGEMENT: 'urn:xmpp:sm:3', // XEP-0198
  PING: 'urn:xmpp:ping', // XEP-0199
  TIME: 'urn:xmpp:time', // XEP-0202
  DELAY: 'urn:xmpp:delay', // XEP-0203
  DIALBACK: 'jabber:server:dialback', // XEP-0220
  DIALBACK_FEATURE: 'urn:xmpp:features:dialback', // XEP-0220
  CARBONS: 'urn:xmpp:carbons:2', // XEP-0280
  BIDI: 'urn:xmpp:bidi', // XEP-0288
  BIDI_FEATURE: 'urn:xmpp:features:bidi', // XEP-0288
  FORWARD: 'urn:xmpp:forward:0', // XEP-0297
  MAM: 'urn:xmpp:mam:2', // XEP-0313
  HINTS: 'urn:xmpp:hints', // XEP-0334
  CLIENT_STATE: 'urn:xmpp:csi:0', // XEP-0352
  DELEGATION: 'urn:xmpp:delegation:2', // XEP-0355
  PRIVILEGE: 'urn:xmpp:privilege:2', // XEP-0356
  CHAT_MARKERS: 'urn:xmpp:chat-markers:0', // XEP-0333
  STANZA_ID: 'urn:xmpp:sid:0', // XEP-0359
  BIND2: 'urn:xmpp:bind:0', // XEP-0386
  SASL2: 'urn:xmpp:sasl:2', // XEP-0388
  RETRACT: 'urn:xmpp:message-retract:1', // XEP-0424
  CHANNEL_BINDING: 'urn:xmpp:sasl-cb:0', // XEP-0440
  STREAM_LIMITS: 'urn:xmpp:stream-limits:0', // XEP-0478
  SASL_UPGRADE: 'urn:xmpp:sasl:upgrade:0', // XEP-0480
  SCRAM_UPGRADE: 'urn:xmpp:scram-upgrade:0', // XEP-0480 3
  FAST: 'urn:xmpp:fast:0', // XEP-0484
  PIPELINING: 'urn:xmpp:iap:0', // XEP-0509
  // Posthorn
  SEQUENCE: 'urn:posthorn:sequence:0', // docs/architecture.md, "Sequence ids"
} as const;
