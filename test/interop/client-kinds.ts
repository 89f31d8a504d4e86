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
}

const script = (name: string): string => fileURLToPath(new URL(`clients/${name}`, import.meta.url));
// Debian's own interpreter: its packages are invisible to any other.
const python = (name: string) =>
  ({ program: ['/usr/bin/python3', script(name)], interpreterPackage: 'python3' }) as const;

export const SLIXMPP: ClientKind = {
  name: 'slixmpp',
  ...python('slixmpp_client.py'),
  transports: ['starttls', 'direct-tls'],
  mechanism: 'SCRAM-SHA-512-PLUS',
};

/** Gajim's library. GLib gives it nothing to bind the login to, so there is no -PLUS. */
export const NBXMPP: ClientKind = {
  name: 'nbxmpp',
  ...python('nbxmpp_client.py'),
  transports: ['starttls', 'direct-tls', 'websocket'],
  mechanism: 'SCRAM-SHA-512',
};
