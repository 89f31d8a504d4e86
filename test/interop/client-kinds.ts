import { fileURLToPath } from 'node:url';
import type { Transport } from './client-events.ts';

/** A kind of client: the program that plays it, and what its library can do. */
export interface ClientKind {
  readonly name: string;
  readonly program: readonly [string, ...string[]];
  /** The Debian package of the interpreter. */
  readonly interpreterPackage: string;
  readonly transports: readonly Transport[];
  /** The strongest mechanism that the library and Posthorn both have. */
  readonly mechanism: string;
  /**
   * Whether it logs in by XEP-0388 and binds by XEP-0386, where both are offered. What waits for it is then in its archive,
   * and is not sent.
   */
  readonly bindsInline: boolean;
  /** Whether a character is safe that arrives in two reads. */
  readonly joinsCharacters: boolean;
}

const script = (name: string): string => fileURLToPath(new URL(`clients/${name}`, import.meta.url));
// Debian's own interpreter: its packages are invisible to any other.
const python = (name: string) =>
  ({ program: ['/usr/bin/python3', script(name)], interpreterPackage: 'python3' }) as const;
const node = (name: string) =>
  ({ program: [process.execPath, '--import=tsx', script(name)], interpreterPackage: 'nodejs' }) as const;

export const SLIXMPP: ClientKind = {
  name: 'slixmpp',
  ...python('slixmpp_client.py'),
  transports: ['starttls', 'direct-tls'],
  mechanism: 'SCRAM-SHA-512-PLUS',
  bindsInline: false,
  joinsCharacters: true,
};

/** Gajim's library. GLib gives it nothing to bind the login to, so there is no -PLUS. */
export const NBXMPP: ClientKind = {
  name: 'nbxmpp',
  ...python('nbxmpp_client.py'),
  transports: ['starttls', 'direct-tls', 'websocket'],
  mechanism: 'SCRAM-SHA-512',
  bindsInline: false,
  joinsCharacters: true,
};

/**
 * `@xmpp/client`. SCRAM-SHA-1 is the only SCRAM it has.
 * Interop: it leaves the answers to its IQs out of the `h` of XEP-0198, so that the server must take that many of the last
 * stanzas for lost at logout: the messages among them wait, with the same sequence number, for a session that does not
 * read the archive.
 * Interop: it decodes each read by itself, and garbles a character that comes in two.
 */
export const XMPP_JS: ClientKind = {
  name: 'xmpp.js',
  ...node('xmpp-js-client.ts'),
  transports: ['starttls', 'direct-tls', 'websocket'],
  mechanism: 'SCRAM-SHA-1',
  bindsInline: true,
  joinsCharacters: false,
};

/** The library under Converse.js. What runs in a browser has nothing to bind the login to, so there is no -PLUS. */
export const STROPHE: ClientKind = {
  name: 'strophe.js',
  ...node('strophe-client.ts'),
  transports: ['websocket'],
  mechanism: 'SCRAM-SHA-512',
  bindsInline: false,
  joinsCharacters: true,
};
