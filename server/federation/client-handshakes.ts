import { isIP, type Socket } from 'node:net';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import { domainToASCII } from 'node:url';

import type { Clock } from '../clock.ts';

/** The ALPN protocol of a stream between servers that begins with TLS (XEP-0368). */
export const ALPN_SERVER = 'xmpp-server';

export interface ClientHandshakesOptions {
  /** The context with the certificate of a domain of ours. */
  readonly contextFor: (local: string) => SecureContext;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * TLS handshakes as the client, towards another server. Whoever answers is let in: what its certificate is worth depends
 * on the policy for its domain, and dialback can do without.
 */
export class ClientHandshakes {
  readonly #options: ClientHandshakesOptions;

  constructor(options: ClientHandshakesOptions) {
    this.#options = options;
  }

  /**
   * @param local whose certificate to show
   * @param remote whom to name by SNI
   * @throws Error when it fails or takes too long; then the connection is destroyed
   */
  secure(socket: Socket, local: string, remote: string, alpnProtocols?: readonly string[]): Promise<TLSSocket> {
    const { contextFor, clock, timeoutMs } = this.#options;
    const servername = domainToASCII(remote);
    return new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(new Error('the connection was closed before the TLS handshake'));
        return;
      }
      let reason: Error | undefined;
      const secured = connect({
        socket,
        secureContext: contextFor(local),
        rejectUnauthorized: false,
        // RFC 6066 3: no addresses
        ...(servername !== '' && isIP(servername) === 0 && { servername }),
        ...(alpnProtocols !== undefined && { ALPNProtocols: [...alpnProtocols] }),
      });
      const cancelTimeout = clock.schedule(timeoutMs, () => {
        reason = new Error(`the TLS handshake took longer than ${timeoutMs} ms`);
        secured.destroy();
      });
      const fail = (): void => {
        cancelTimeout();
        reject(reason ?? new Error('the other server closed the connection during the TLS handshake'));
      };
      secured.on('error', (error: Error) => void (reason ??= error));
      secured.once('close', fail).once('secureConnect', () => {
        cancelTimeout();
        secured.removeListener('close', fail);
        resolve(secured);
      });
    });
  }
}
