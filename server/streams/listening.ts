import { isIPv6, type Server } from 'node:net';

/** Where a server listens. */
export interface ListeningAddress {
  /** What it is for: `c2s`, `c2s-tls`, `http`, `operations`. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** A place to listen at, and the options that say so. */
export interface ListenRequest {
  readonly name: string;
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** The option that holds the port: `c2s.port`. */
  readonly portOption: string;
  /** The option that holds the address: `c2s.addresses`. */
  readonly addressOption: string;
}

/** A server cannot listen where it was told to; the message says what to do. */
export class ListenError extends Error {
  readonly code: string;

  constructor(message: string, options: { readonly code: string; readonly cause: unknown }) {
    super(message, { cause: options.cause });
    this.name = 'ListenError';
    this.code = options.code;
  }
}

/** No such address family or address on this machine: for `::` that means a machine without IPv6. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']);

/**
 * Has a server listen at one address; `::` is IPv6 alone.
 * @returns undefined for `::` on a machine without IPv6
 * @throws ListenError
 */
export async function listenAt(server: Server, request: ListenRequest): Promise<ListeningAddress | undefined> {
  const { name, address, port } = request;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address, port, ipv6Only: isIPv6(address), backlog: 1024 }, () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (address === '::' && NO_IPV6.has(code)) return undefined;
    throw new ListenError(explain(request, code), { code, cause: error });
  }
  const bound = server.address();
  return { name, address, port: typeof bound === 'object' && bound !== null ? bound.port : port };
}

/** Ends listening; connections stay. Resolves at once, for a server's own `close` waits for its connections. */
export function stopListening(servers: readonly Server[]): void {
  for (const server of servers) if (server.listening) server.close();
}

function explain({ address, port, portOption, addressOption }: ListenRequest, code: string): string {
  const where = `${portOption}: cannot listen on port ${port} of ${address}`;
  switch (code) {
    case 'EADDRINUSE':
      return `${where}: another program does (${code}); stop it, or set ${portOption} to a free port`;
    case 'EACCES':
    case 'EPERM':
      return `${where}: not permitted (${code}); set ${portOption} to 1024 or above, or give the capability CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EINVAL':
      return `${where}: this machine has no such address (${code}); set ${addressOption} to addresses it has`;
    default:
      return `${where} (${code})`;
  }
}
