import { createInterface } from 'node:readline';
import type { ClientCommand, ClientEvent } from '../client-events.ts';

/** What the libraries are told to answer to XEP-0092, as the Python clients do. */
export const ANSWERED_VERSION = '1';
export const NS_SEQUENCE = 'urn:posthorn:sequence:0';
export const NS_DELAY = 'urn:xmpp:delay';

/** Writes one event, which the test reads at once. */
export function emit(event: ClientEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Says that the program runs, performs commands as they come, and ends with standard input: the test has gone then. */
export function serve(perform: (command: ClientCommand) => Promise<unknown>): void {
  const answer = async (command: ClientCommand & { readonly id: number }): Promise<void> => {
    try {
      emit({ event: 'result', id: command.id, value: (await perform(command)) ?? null });
    } catch (error) {
      emit({ event: 'error', id: command.id, reason: String(error) });
    }
  };
  createInterface({ input: process.stdin })
    .on('line', (line) => void answer(JSON.parse(line) as ClientCommand & { readonly id: number }))
    .on('close', () => process.exit(0));
  emit({ event: 'ready' });
}
