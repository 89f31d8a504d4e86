import type { Client, Element } from '@xmpp/client';
import { emit } from './line-protocol.ts';

/**
 * Sends for a client of xmpp.js that comes back by itself and resumes its session (XEP-0198).
 * Interop: the library takes a stanza into its queue when its write has succeeded, and empties the queue before it has sent
 * it again. What was written, or half written, when the connection broke is then in no queue. So what was sent and not
 * acknowledged is kept here, and is the queue of the next connection.
 */
export class XmppJsResumption {
  readonly #client: Client;
  #unacknowledged: Element[] = [];
  #isPresent = false;
  /** From then on an error is a cut connection. */
  #wasOnline = false;
  readonly #waiting = new Set<() => void>();

  constructor(client: Client) {
    this.#client = client;
    client.reconnect.delay = 10;
    client.on('error', ({ message }) => {
      if (!this.#wasOnline) emit({ event: 'failed', reason: message });
    });
    client.on('online', () => {
      this.#wasOnline = true;
      this.#present();
    });
    client.on('disconnect', () => {
      this.#isPresent = false;
      const stamp = new Date().toISOString();
      client.streamManagement.outbound_q = this.#unacknowledged.map((stanza) => ({ stanza, stamp }));
    });
    client.streamManagement.on('ack', (acknowledged) => {
      this.#unacknowledged = this.#unacknowledged.filter((stanza) => stanza !== acknowledged);
    });
    client.streamManagement.on('resumed', () => {
      emit({ event: 'resumed' });
      this.#present();
    });
  }

  /** Sends a stanza, or has it sent by the next connection. Nothing overtakes what is sent again. */
  async send(stanza: Element): Promise<void> {
    while (!this.#isPresent) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    this.#unacknowledged.push(stanza);
    await this.#client.send(stanza).catch(() => undefined);
  }

  #present(): void {
    this.#isPresent = true;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
