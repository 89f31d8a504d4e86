import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates } from '../../certs/make-certs.ts';
import { loadConfig } from '../../config/load.ts';
import type { DnsRecord } from '../../server/federation/dns-message.ts';
import type { Log } from '../../server/log.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { startServer, type RunningServer } from '../../server/server.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import { storageOver } from '../../storage/storage.ts';
import { dnsServerForTests, srv, type DnsServerForTests } from './dns-server.ts';
import { silentLog } from './silent-log.ts';
import { TestClient } from './test-client.ts';

const PASSWORD = 'wherefore-art-thou';
const credentials = deriveCredentials(PASSWORD, { iterations: 4096, random: (length) => randomBytes(length) });

/** How a server of a play differs from the usual one. */
export interface ServerChoice {
  /** Options as environment variables. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Its certificate is signed by an authority that nobody trusts. */
  readonly isUntrusted?: boolean;
  /** Domains of its certificate, where they are not its own. */
  readonly certificateDomain?: string;
  /** More domains of the same server, each with a certificate of its own and accounts of the same names. */
  readonly furtherDomains?: readonly string[];
  /** SRV records for direct TLS instead of STARTTLS. */
  readonly directTls?: boolean;
  readonly store?: OrderedStore;
  readonly log?: Log;
}

/** A server in a play. */
export interface ServerInPlay {
  readonly domain: string;
  readonly running: RunningServer;
  /** Where its users log in. */
  readonly clientPort: number;
  /** Where other servers come to. */
  readonly serverPort: number;
  /** Logs somebody in and announces presence. @param at one of its domains, the first unless given */
  enter(username: string, resource: string, at?: string): Promise<TestClient>;
  stop(): Promise<void>;
}

/** Several servers in one process, each with its domain, an authority they trust and a DNS server that knows them. */
export class Verona {
  readonly dns: DnsServerForTests;
  readonly #directory: string;
  readonly #servers: ServerInPlay[] = [];
  readonly #clients: TestClient[] = [];

  private constructor(dns: DnsServerForTests, directory: string) {
    this.dns = dns;
    this.#directory = directory;
  }

  static async found(): Promise<Verona> {
    return new Verona(await dnsServerForTests([]), await mkdtemp(join(tmpdir(), 'posthorn-federation-')));
  }

  /** Starts a server with accounts for whoever is named. */
  async start(domain: string, people: readonly string[], choice: ServerChoice = {}): Promise<ServerInPlay> {
    const domains = [domain, ...(choice.furtherDomains ?? [])];
    const certificates = [];
    for (const one of domains) {
      const shown = one === domain ? (choice.certificateDomain ?? one) : one;
      const { certificateFile, keyFile } = await this.certificate(shown, choice.isUntrusted === true);
      certificates.push({ domains: [one], certificate: certificateFile, key: keyFile });
    }
    const directory = await mkdtemp(join(this.#directory, 'server-'));
    const config = loadConfig({
      environment: {
        POSTHORN_DOMAINS: domains.join(),
        POSTHORN_DATA_DIRECTORY: directory,
        POSTHORN_C2S_PORT: '0',
        POSTHORN_C2S_TLS_PORT: 'false',
        POSTHORN_C2S_ADDRESSES: '127.0.0.1',
        POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true',
        POSTHORN_HTTP_PORT: 'false',
        POSTHORN_OPERATIONS_PORT: 'false',
        POSTHORN_S2S_PORT: '0',
        POSTHORN_S2S_TLS_PORT: '0',
        POSTHORN_S2S_ADDRESSES: '127.0.0.1',
        POSTHORN_S2S_RESOLVERS: `127.0.0.1:${this.dns.port}`,
        POSTHORN_S2S_AUTHORITIES: (await this.certificate('authority.example', false)).caFile,
        POSTHORN_TLS_CERTIFICATES: JSON.stringify(certificates),
        POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
        ...choice.environment,
      },
      workingDirectory: directory,
    });
    const storage = storageOver(choice.store ?? new MemoryStore());
    for (const jid of domains.flatMap((one) => people.map((name) => `${name}@${one}`))) {
      if ((await storage.accounts.get(jid)) !== undefined) continue;
      await storage.accounts.create(jid, { createdAt: 0, disabled: false, credentials: await credentials });
    }
    const running = await startServer({ config, storage, log: choice.log ?? silentLog });
    const portOf = (name: string): number => running.listening.find((listening) => listening.name === name)?.port ?? 0;
    const directTls = choice.directTls === true;
    const serverPort = directTls ? portOf('s2s-tls') : portOf('s2s');
    for (const one of domains) this.announce(one, serverPort, directTls);
    const server: ServerInPlay = {
      domain,
      running,
      clientPort: portOf('c2s'),
      serverPort,
      enter: async (username, resource, at = domain) => {
        const client = await TestClient.connect(portOf('c2s'));
        this.#clients.push(client);
        await client.authenticate(username, PASSWORD, at);
        await client.bind(resource, at);
        client.send('<presence/>');
        await client.until(new RegExp(`<presence [^>]*from='${username}@${at}/${resource}'[^>]*>`));
        return client;
      },
      stop: () => running.stop(),
    };
    this.#servers.push(server);
    return server;
  }

  /** Tells DNS where a domain is served. */
  announce(domain: string, port: number, direct = false, address = '127.0.0.1'): void {
    // Interop: ejabberd asks DNS for the SRV record and the system for the address, which knows this name.
    const host = address === '127.0.0.1' ? 'localhost' : `xmpp.${domain}`;
    const others = this.dns.records.filter(({ name }) => !name.endsWith(`.${domain}`) && name !== host);
    const place: DnsRecord = { type: 'A', name: host, ttlSeconds: 300, address };
    this.dns.records = [...others, srv(domain, host, port, { direct }), place];
  }

  /** A certificate of the authority that all trust, or of one that nobody does. */
  async certificate(domain: string, isUntrusted: boolean) {
    const directory = join(this.#directory, isUntrusted ? 'untrusted' : 'trusted');
    const made = await ensureCertificates({ directory, domains: [domain], now: Date.now, log: silentLog });
    const [certificate] = made.certificates;
    if (certificate === undefined) throw new Error('no certificate was made');
    return { ...certificate, caFile: made.caFile };
  }

  async fall(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await Promise.all(this.#servers.map((server) => server.stop()));
    this.dns.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
