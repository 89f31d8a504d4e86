import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

const LOWEST = 10_000;
const TRIES = 1000;

/**
 * Ports of an address that nobody uses now. They lie outside the range from which the system takes ports for connections that
 * go out: one of those would take the place of a server that is killed and started again.
 */
export async function freePorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const highest = lowestOutgoing() - 1;
  const held = new Map<number, Server>();
  for (let tries = 0; held.size < count; tries++) {
    if (tries === TRIES) throw new Error(`no free port of ${address} from ${LOWEST} to ${highest}`);
    const port = randomInt(LOWEST, highest + 1);
    const server = held.has(port) ? undefined : await listening(port, address);
    if (server !== undefined) held.set(port, server);
  }
  await Promise.all([...held.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  return [...held.keys()];
}

/** As `freePorts`, one of loopback. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** The server of a port; undefined where the port is taken. */
function listening(port: number, address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(port, address, () => resolve(server));
  });
}

function lowestOutgoing(): number {
  const [lowest] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number);
  return lowest !== undefined && lowest > LOWEST + TRIES ? lowest : 32_768;
}
