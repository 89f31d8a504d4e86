import { constants, createHash, randomBytes } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { serverEndPoint, type EndPoint } from '../sasl/channel-bindings.ts';
import {
  CertificateError,
  concernsOf,
  concernText,
  readCertificate,
  type Certificate,
  type CertificateEntry,
} from './certificate-file.ts';
import { DomainTable } from './domain-table.ts';
import { FileWatch } from './file-watch.ts';

/** The ALPN protocol of a client stream that begins with TLS (XEP-0368). */
export const ALPN_CLIENT = 'xmpp-client';

/** Options of TlsContexts. */
export interface TlsOptions {
  /** One or more; the first is shown to who names no domain, or none of ours. */
  readonly entries: readonly CertificateEntry[];
  readonly minVersion: '1.2' | '1.3';
  /** As OpenSSL writes them, best first. */
  readonly ciphers: string;
  readonly clock: Clock;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** 48 secret bytes that encrypt session tickets, the same in every process of a server; random unless given. */
  readonly ticketKeys?: Buffer;
  /** How often `watch` looks at the files. */
  readonly watchIntervalMs?: number;
  /** PEM certificates of the authorities that vouch for other servers; those that Node brings unless given. */
  readonly peerAuthorities?: readonly string[] | undefined;
}

/** What became of one certificate when its files were read again. */
export interface ReloadResult {
  readonly certificateFile: string;
  readonly domains: readonly string[];
  /** `kept`: the new files cannot be used, the old certificate goes on being shown. */
  readonly outcome: 'replaced' | 'unchanged' | 'kept';
  /** Why it was kept, and what to do. */
  readonly problem?: string;
}

/** A certificate as an operator wants to see it. */
export interface CertificateStatus extends CertificateEntry {
  /** The subjectAltName, as node:crypto prints it. */
  readonly names: string;
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** What is wrong with it and what to do, a sentence each. */
  readonly concerns: readonly string[];
}

interface Served {
  readonly certificate: Certificate;
  readonly context: SecureContext;
  /** For streams between servers; made when it is first needed. */
  peerContext: SecureContext | undefined;
}

/**
 * The certificates of the server, one shared TLS context each, chosen by domain. They are replaced without an open
 * connection noticing: it keeps the context it began with.
 */
export class TlsContexts {
  readonly #options: TlsOptions;
  readonly #ticketKeys: Buffer;
  readonly #endPoints = new WeakMap<SecureContext, EndPoint>();
  #served: readonly [Served, ...Served[]];
  #byDomain: DomainTable<Served>;
  #watch: FileWatch | undefined;

  /** @throws CertificateError that names every file that cannot be used */
  constructor(options: TlsOptions) {
    this.#options = options;
    this.#ticketKeys = options.ticketKeys ?? randomBytes(48);
    const attempts = options.entries.map((entry) => this.#attempt(entry));
    const problems = attempts.filter(isError);
    if (problems.length > 0) throw new CertificateError(problems.map(({ message }) => message).join('\n'));
    this.#served = this.#contextsOf(attempts.filter((read): read is Certificate => !isError(read)));
    this.#byDomain = byDomain(this.#served);
    this.#warn(this.#served);
  }

  /**
   * The context for a connection.
   * @param servername what the client named in SNI, if it did
   * @param fallbackDomain the `to` of its stream header: some clients name the host of the SRV record in SNI
   */
  contextFor(servername?: string | false | null, fallbackDomain?: string): SecureContext {
    return this.#for(servername, fallbackDomain).context;
  }

  /** Whether a client's SNI can make a difference: where it cannot, OpenSSL need not wait for a callback to be asked. */
  get isChosenByName(): boolean {
    return this.#served.length > 1;
  }

  /** What a client may bind to that is answered with this context; undefined where it is none of `contextFor`. */
  endPointOf(context: SecureContext): EndPoint | undefined {
    return this.#endPoints.get(context);
  }

  /** For `SNICallback` of node:tls. A name that is not ours leaves the connection with the context it was given. */
  readonly sniCallback = (servername: string, answer: (error: Error | null, context?: SecureContext) => void): void => {
    answer(null, this.#find(servername)?.context);
  };

  /** Reads every file again. What cannot be used is logged, and its predecessor stays. */
  reload(): readonly ReloadResult[] {
    return this.#reload(() => true);
  }

  /** Reads certificates again whose files change, at most two intervals after they have come to rest. */
  watch(): void {
    if (this.#watch !== undefined) return;
    this.#watch = new FileWatch({
      groups: this.#served.map(({ certificate: { entry } }) => [entry.certificateFile, entry.keyFile]),
      stamps: this.#served.map(({ certificate }) => certificate.stamp),
      intervalMs: this.#options.watchIntervalMs ?? 5000,
      clock: this.#options.clock,
      changed: (places) => void this.#reload((place) => places.includes(place)),
    });
    this.#watch.start();
  }

  /** Ends watching. */
  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Every certificate, in the order of the configuration. */
  statuses(): readonly CertificateStatus[] {
    const now = this.#options.clock.now();
    return this.#served.map(({ certificate }) => ({
      ...certificate.entry,
      names: certificate.leaf.subjectAltName ?? '',
      issuer: certificate.leaf.issuer,
      notBeforeMs: certificate.notBeforeMs,
      notAfterMs: certificate.notAfterMs,
      concerns: concernsOf(certificate, now).map(concernText),
    }));
  }

  /** Contexts for streams between servers, both ways: they know the authorities that vouch for other servers. */
  readonly peers = {
    contextFor: (servername?: string | false | null, fallbackDomain?: string): SecureContext =>
      this.#peerContext(this.#for(servername, fallbackDomain)),
    sniCallback: (servername: string, answer: (error: Error | null, context?: SecureContext) => void): void => {
      const served = this.#find(servername);
      answer(null, served === undefined ? undefined : this.#peerContext(served));
    },
  };

  #peerContext(served: Served): SecureContext {
    const { peerAuthorities } = this.#options;
    served.peerContext ??= createSecureContext({
      ...this.#optionsOf(served.certificate, ''),
      ca: peerAuthorities === undefined ? undefined : [...peerAuthorities], // undefined: those that Node brings
      // A ticket would vouch for a certificate long after it was looked at.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
    });
    return served.peerContext;
  }

  #for(servername: string | false | null | undefined, fallbackDomain: string | undefined): Served {
    return this.#find(servername) ?? this.#find(fallbackDomain) ?? this.#served[0];
  }

  #find(domain: string | false | null | undefined): Served | undefined {
    return typeof domain === 'string' ? this.#byDomain.find(domain) : undefined;
  }

  #reload(isWanted: (place: number) => boolean): readonly ReloadResult[] {
    const now = this.#options.clock.now();
    const results: ReloadResult[] = [];
    const certificates = this.#served.map(({ certificate: old }, place) => {
      if (!isWanted(place)) return old;
      const { certificateFile, domains } = old.entry;
      const { certificate, problem } = successor(old, this.#attempt(old.entry), now);
      const outcome = problem !== undefined ? 'kept' : certificate === old ? 'unchanged' : 'replaced';
      results.push({ certificateFile, domains, outcome, ...(problem === undefined ? {} : { problem }) });
      return certificate;
    });
    if (results.some(({ outcome }) => outcome === 'replaced')) this.#replace(certificates);
    this.#tell(results);
    return results;
  }

  #replace(certificates: readonly Certificate[]): void {
    const old = new Set(this.#served.map(({ certificate }) => certificate));
    this.#served = this.#contextsOf(certificates);
    this.#byDomain = byDomain(this.#served);
    this.#warn(this.#served.filter(({ certificate }) => !old.has(certificate)));
  }

  #tell(results: readonly ReloadResult[]): void {
    const { log } = this.#options;
    for (const { outcome, problem, ...fields } of results) {
      if (outcome === 'kept') log.error({ ...fields, problem }, 'a certificate was not replaced, the old one is kept');
      else if (outcome === 'replaced') log.info(fields, 'a certificate was replaced');
    }
  }

  #warn(served: readonly Served[]): void {
    const now = this.#options.clock.now();
    for (const { certificate } of served) {
      for (const concern of concernsOf(certificate, now)) this.#options.log.warn({}, concernText(concern));
    }
  }

  #contextsOf(certificates: readonly Certificate[]): [Served, ...Served[]] {
    const sessionId = sessionIdOf(certificates);
    const [first, ...others] = certificates.map((certificate) => {
      const context = createSecureContext(this.#optionsOf(certificate, sessionId));
      this.#endPoints.set(context, { binding: serverEndPoint(certificate.leaf.raw) });
      return { certificate, context, peerContext: undefined };
    });
    if (first === undefined) throw new CertificateError('there is no certificate: configure one in tls.certificates');
    return [first, ...others];
  }

  /** Reads a certificate; where it cannot be used, the error. OpenSSL has its own idea of that, such as a key's size. */
  #attempt(entry: CertificateEntry): Certificate | CertificateError {
    try {
      const certificate = readCertificate(entry);
      createSecureContext(this.#optionsOf(certificate, ''));
      return certificate;
    } catch (error) {
      if (error instanceof CertificateError) return error;
      const reason = error instanceof Error ? error.message : String(error);
      return new CertificateError(`${entry.certificateFile} cannot be used (${reason}): have it issued anew`);
    }
  }

  #optionsOf({ chainPem, keyPem }: Certificate, sessionIdContext: string): SecureContextOptions {
    return {
      cert: chainPem,
      key: keyPem,
      ca: [], // nobody is asked for a certificate: reading all authorities would only make the start longer
      minVersion: `TLSv${this.#options.minVersion}`,
      ciphers: this.#options.ciphers,
      honorCipherOrder: true,
      // RFC 6120 5.3.5: renegotiation is optional; without it there is nothing in it to attack
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      sessionIdContext,
      ticketKeys: this.#ticketKeys,
    };
  }
}

function isError(read: Certificate | CertificateError): read is CertificateError {
  return read instanceof CertificateError;
}

/** Which of two certificates to go on with, and what is wrong where it is the old one. */
function successor(
  old: Certificate,
  read: Certificate | CertificateError,
  nowMs: number,
): { readonly certificate: Certificate; readonly problem?: string } {
  if (isError(read)) return { certificate: old, problem: read.message };
  if (read.notAfterMs < nowMs && old.notAfterMs >= nowMs) {
    const problem = `the new certificate in ${read.entry.certificateFile} has expired: put one there that has not`;
    return { certificate: old, problem };
  }
  return { certificate: sameAs(old, read) ? old : read };
}

function sameAs(one: Certificate, other: Certificate): boolean {
  return one.chainPem === other.chainPem && one.keyPem === other.keyPem;
}

/**
 * Sessions are resumed while the certificates stay the same. A session from before would bind its channel to the old
 * certificate (tls-server-end-point), which is no longer at hand to compare with.
 */
function sessionIdOf(certificates: readonly Certificate[]): string {
  const hash = createHash('sha256');
  for (const { leaf } of certificates) hash.update(leaf.raw);
  return hash.digest('hex').slice(0, 32); // the most that OpenSSL takes
}

function byDomain(served: readonly Served[]): DomainTable<Served> {
  const table = new DomainTable<Served>();
  for (const one of served) for (const domain of one.certificate.entry.domains) table.add(domain, one);
  return table;
}
