import type { Config } from './options.ts';

/** A place where the server listens, as it is configured. */
export interface ConfiguredListener {
  /** As listeners and logs call it. */
  readonly name: string;
  /** False where it is off, 0 for any free port. */
  readonly port: number | false;
  readonly addresses: readonly string[];
  /** The option that holds the port: `c2s.port`. */
  readonly portOption: string;
  /** The option that holds the addresses: `c2s.addresses`. */
  readonly addressOption: string;
}

/** Every place where the server listens. */
export function configuredListeners({ c2s, http, operations }: Config): readonly ConfiguredListener[] {
  const ofClients = { addresses: c2s.addresses, addressOption: 'c2s.addresses' };
  return [
    { name: 'c2s', port: c2s.port, portOption: 'c2s.port', ...ofClients },
    { name: 'c2s-tls', port: c2s.tlsPort, portOption: 'c2s.tls_port', ...ofClients },
    {
      name: 'http',
      port: http.port,
      portOption: 'http.port',
      addresses: http.addresses,
      addressOption: 'http.addresses',
    },
    {
      name: 'operations',
      port: operations.port,
      portOption: 'operations.port',
      addresses: [operations.address],
      addressOption: 'operations.address',
    },
  ];
}
