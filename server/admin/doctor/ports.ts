import { createServer } from 'node:net';

import { configuredListeners, type ConfiguredListener } from '../../../config/listeners.ts';
import { listenAt, ListenError, stopListening } from '../../streams/listening.ts';
import { fine, found, type Check, type CheckContext, type Observation } from './check.ts';

/** Whether every configured port is free, or held by the server itself. */
export const ports: Check = {
  name: 'ports',
  examine: async (context) => {
    const observations: Observation[] = [];
    for (const listener of configuredListeners(context.config)) {
      if (listener.port === false) observations.push(fine(listener.portOption, 'is off'));
      else {
        for (const address of listener.addresses) {
          observations.push(await examineAddress(listener, listener.port, address, context));
        }
      }
    }
    return observations;
  },
};

async function examineAddress(
  { name, portOption, addressOption }: ConfiguredListener,
  port: number,
  address: string,
  { running }: CheckContext,
): Promise<Observation> {
  const own = running?.listening.find(
    (place) => place.name === name && place.address === address && (port === 0 || place.port === port),
  );
  if (own !== undefined) return fine(portOption, `the server listens on port ${own.port} of ${address}`);
  const server = createServer();
  try {
    const place = await listenAt(server, { name, address, port, portOption, addressOption });
    if (place === undefined) return fine(portOption, `this machine has no IPv6: nothing listens on ${address}`);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    const [, what = error.message, advice = ''] = /^[^:]+: (.*?\)(?=; |$))(?:; (.*))?$/.exec(error.message) ?? [];
    const who = error.code === 'EADDRINUSE' ? `; "ss -ltnp 'sport = :${port}'" shows which` : '';
    return found('error', portOption, what, `${advice}${who}`);
  } finally {
    stopListening([server]);
  }
  if (running === undefined)
    return fine(portOption, `port ${port === 0 ? 'of any number' : port} of ${address} is free`);
  const what = `the running server does not listen on port ${port} of ${address}`;
  return found('warning', portOption, what, 'restart the server: it reads its configuration when it starts');
}
