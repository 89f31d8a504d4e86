import { NS } from './namespaces.ts';

/*
 * Names and namespaces that most stanzas are made of. The scanner finds them by their bytes, so that a frame costs no
 * string for each of them and comparisons with constants are comparisons of pointers. What is not listed works as well,
 * a little slower. The list is fixed: strangers' strings are never kept.
 */
const WORDS = [
  // RFC 6120, RFC 6121: elements, attributes and types
  'message presence iq body subject thread show status priority error text query bind resource session features stream',
  'to from id type lang xml:lang version xmlns get set result chat groupchat normal headline unavailable subscribe subscribed',
  'unsubscribe unsubscribed probe starttls proceed failure auth challenge response success abort required',
  // extensions
  'active composing paused inactive gone request received displayed markable acknowledged origin-id stanza-id store',
  'no-store no-copy no-permanent-store delay x c ping time sequence forwarded sent private enable disable enabled',
  'r a resume resumed failed html encrypted encryption header payload replace reply reactions reaction fallback apply-to',
  'event items item pubsub publish configure data open close jingle vCard blocklist block unblock prefs fin',
  'retract moderate occupant-id nick invite decline history password file-sharing attach-to hats idle invisible',
].flatMap((words) => words.split(' '));

const NAMESPACES = [
  'eu.siacs.conversations.axolotl', // XEP-0384
  'http://jabber.org/protocol/commands', // XEP-0050
  'http://jabber.org/protocol/muc', // XEP-0045
  'http://jabber.org/protocol/muc#admin',
  'http://jabber.org/protocol/muc#owner',
  'http://jabber.org/protocol/muc#user',
  'http://jabber.org/protocol/nick', // XEP-0172
  'http://jabber.org/protocol/pubsub', // XEP-0060
  'http://jabber.org/protocol/pubsub#event',
  'http://jabber.org/protocol/pubsub#owner',
  'http://jabber.org/protocol/rsm', // XEP-0059
  'http://jabber.org/protocol/xhtml-im', // XEP-0071
  'jabber:iq:last', // XEP-0012
  'jabber:iq:register', // XEP-0077
  'jabber:server:dialback', // XEP-0220
  'jabber:x:conference', // XEP-0249
  'jabber:x:oob', // XEP-0066
  'urn:xmpp:blocking', // XEP-0191
  'urn:xmpp:eme:0', // XEP-0380
  'urn:xmpp:fallback:0', // XEP-0428
  'urn:xmpp:http:upload:0', // XEP-0363
  'urn:xmpp:idle:1', // XEP-0319
  'urn:xmpp:jingle-message:0', // XEP-0353
  'urn:xmpp:jingle:1', // XEP-0166
  'urn:xmpp:mam:2', // XEP-0313
  'urn:xmpp:message-correct:0', // XEP-0308
  'urn:xmpp:occupant-id:0', // XEP-0421
  'urn:xmpp:omemo:2', // XEP-0384
  'urn:xmpp:reactions:0', // XEP-0444
  'urn:xmpp:reference:0', // XEP-0372
  'urn:xmpp:reply:0', // XEP-0461
  'vcard-temp', // XEP-0054
  'vcard-temp:x:update', // XEP-0153
];

const SLOT_COUNT = 1024;

function slotOf(length: number, last: number, middle: number): number {
  return (length * 67 + last * 31 + middle * 7) & (SLOT_COUNT - 1);
}

interface Word {
  readonly text: string;
  /** Where its bytes lie in BYTES. */
  readonly start: number;
  readonly length: number;
  /** The next word of the same slot. */
  readonly next: Word | undefined;
}

const ALL_WORDS = [...new Set([...WORDS, ...NAMESPACES, ...Object.values(NS)])];
const BYTES: Readonly<Uint8Array> = Uint8Array.from(Buffer.from(ALL_WORDS.join(''), 'latin1'));
const SLOTS: readonly (Word | undefined)[] = (() => {
  const slots: (Word | undefined)[] = Array.from({ length: SLOT_COUNT }, () => undefined);
  let start = 0;
  for (const text of ALL_WORDS) {
    const { length } = text;
    const slot = slotOf(length, text.charCodeAt(length - 1), text.charCodeAt(length >> 1));
    slots[slot] = { text, start, length, next: slots[slot] };
    start += length;
  }
  return slots;
})();

/** The string of the ASCII bytes from start to end: the vocabulary's own where it has it, else a copy. */
export function wordOf(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length === 0) return '';
  let word = SLOTS[slotOf(length, bytes[end - 1]!, bytes[start + (length >> 1)]!)];
  while (word !== undefined) {
    if (word.length === length && isAt(bytes, start, word.start, length)) return word.text;
    word = word.next;
  }
  return bytes.toString('latin1', start, end);
}

function isAt(bytes: Buffer, at: number, wordAt: number, length: number): boolean {
  const lastFour = length - 4;
  let index = 0;
  while (index <= lastFour) {
    const difference =
      (bytes[at + index]! ^ BYTES[wordAt + index]!) |
      (bytes[at + index + 1]! ^ BYTES[wordAt + index + 1]!) |
      (bytes[at + index + 2]! ^ BYTES[wordAt + index + 2]!) |
      (bytes[at + index + 3]! ^ BYTES[wordAt + index + 3]!);
    if (difference !== 0) return false;
    index += 4;
  }
  while (index < length && bytes[at + index] === BYTES[wordAt + index]) index++;
  return index === length;
}
