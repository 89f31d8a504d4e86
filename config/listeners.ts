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

/** Whether there is anything to federate: nobody elsewhere can find a server of localhost alone. */
export function federates({ s2s, domains }: Pick<Config, 's2s' | 'domains'>): boolean {
  return s2s.enabled && domains.some((domain) => domain !== 'localhost');
}

/** Every place where the server listens. */
export function configuredListeners(config: Config): readonly ConfiguredListener[] {
  const { c2s, s2s, http, operations, components } = config;
  const ofServers = { addresses: s2s.addresses, addressOption: 's2s.addresses' };
  const ofClients = { addresses: c2s.addresses, addressOption: 'c2s.addresses' };
  return [
    { name: 'c2s', port: c2s.port, portOption: 'c2s.port', ...ofClients },
    { name: 'c2s-tls', port: c2s.tlsPort, portOption: 'c2s.tls_port', ...ofClients },
    ...(federates(config)
      ? [
          { name: 's2s', port: s2s.port, portOption: 's2s.port', ...ofServers },
          { name: 's2s-tls', port: s2s.tlsPort, portOption: 's2s.tls_port', ...ofServers },
        ]
      : []),
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
    ...(components.external.length === 0
      ? []
      : [
          {
            name: 'component',
            port: components.port,
            portOption: 'components.port',
            addresses: components.addresses,
            addressOption: 'components.addresses',
          },
        ]),
  ];
}
