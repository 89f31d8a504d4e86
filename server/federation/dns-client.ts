import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';

import type { Clock } from '../clock.ts';
import { decodeResponse, DNS_TYPES, encodeQuestion, type DnsRecord, type DnsResponse } from './dns-message.ts';

/** A DNS server to ask. */
export interface DnsServer {
  readonly address: string;
  readonly port: number;
}

/** The record types that federation asks for. */
export type RecordType = 'SRV' | 'A' | 'AAAA';

/** One SRV record (RFC 2782). */
export interface ServiceRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** '' where the service is decidedly not offered. */
  readonly target: string;
}

/** What DNS says: no records where there are none. */
export interface DnsAnswer {
  /** IP addresses for A and AAAA. */
  readonly addresses: readonly string[];
  readonly services: readonly ServiceRecord[];
  /** How long the answer may be kept, the negative one too (RFC 2308). */
  readonly ttlSeconds: number;
}

/** DNS gave no answer, neither yes nor no. */
export class DnsError extends Error {
  override readonly name = 'DnsError';
}

export interface DnsClientOptions {
  readonly servers: readonly DnsServer[];
  /** How long one server may take for one question. */
  readonly timeoutMs: number;
  /** Questions under way at the same time; further ones wait. */
  readonly maxRunning: number;
  /** Questions that may wait; further ones fail. */
  readonly maxWaiting: number;
  readonly clock: Clock;
}

const ROUNDS = 2;
const MAX_TCP_BYTES = 65_535;
const DEFAULT_NEGATIVE_SECONDS = 60;
/** RFC 2308 5: what does not exist yet is not missed for longer. */
const MAX_NEGATIVE_SECONDS = 3600;
const MAX_ALIASES = 8;
/** RFC 1035 4.1.1: 3 is "name error", 0 "no error". */
const NO_ERROR = 0;
const NAME_ERROR = 3;

/**
 * Asks recursive DNS servers, as node:dns does, but tells how long an answer may be kept. A question leaves by a port and
 * with an id of its own, both unpredictable, so that nobody who sees neither can answer it (RFC 5452).
 */
export class DnsClient {
  readonly #options: DnsClientOptions;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: DnsClientOptions) {
    this.#options = options;
  }

  /** @throws DnsError when no server answers in time, or there are too many questions */
  async ask(name: string, type: RecordType): Promise<DnsAnswer> {
    await this.#turn();
    try {
      return await this.#ask(name, type);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    const { maxRunning, maxWaiting } = this.#options;
    if (this.#running >= maxRunning) {
      if (this.#waiting.length >= maxWaiting) throw new DnsError('too many DNS questions wait already');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
  }

  async #ask(name: string, type: RecordType): Promise<DnsAnswer> {
    const { servers } = this.#options;
    let reason = 'no DNS server is configured';
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of servers) {
        try {
          return await this.#askServer(server, name, type);
        } catch (error) {
          if (!(error instanceof DnsError)) throw error;
          reason = `${server.address}: ${error.message}`;
        }
      }
    }
    throw new DnsError(`${type} ${name}: ${reason}`);
  }

  async #askServer(server: DnsServer, name: string, type: RecordType): Promise<DnsAnswer> {
    const id = randomInt(0x1_0000);
    let query: Buffer;
    try {
      query = encodeQuestion(id, name, DNS_TYPES[type]);
    } catch (error) {
      if (error instanceof RangeError) return { addresses: [], services: [], ttlSeconds: DEFAULT_NEGATIVE_SECONDS };
      throw error;
    }
    const isAnswer = (packet: DnsResponse): boolean => answers(packet, id, name, type);
    let packet = await this.#overUdp(server, query, isAnswer);
    if (packet.isTruncated) packet = await this.#overTcp(server, query, isAnswer);
    return read(packet, name, type);
  }

  #overUdp(
    { address, port }: DnsServer,
    query: Buffer,
    isAnswer: (packet: DnsResponse) => boolean,
  ): Promise<DnsResponse> {
    return this.#within((resolve, reject) => {
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
      socket.on('error', (error) => reject(new DnsError(error.message)));
      socket.on('message', (bytes) => {
        const packet = decodeResponse(bytes);
        if (packet !== undefined && isAnswer(packet)) resolve(packet);
      });
      // Connected, so that the system lets nobody else answer.
      socket.connect(port, address, () => socket.send(query));
      return () => socket.close();
    });
  }

  /** RFC 7766: what does not fit into a datagram comes over TCP, behind its length. */
  #overTcp(
    { address, port }: DnsServer,
    query: Buffer,
    isAnswer: (packet: DnsResponse) => boolean,
  ): Promise<DnsResponse> {
    return this.#within((resolve, reject) => {
      const socket = connect(port, address);
      let received = Buffer.alloc(0);
      socket.on('error', (error) => reject(new DnsError(error.message)));
      socket.on('close', () => reject(new DnsError('the connection ended before the answer')));
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) {
          if (received.length > 2 + MAX_TCP_BYTES) socket.destroy();
          return;
        }
        const packet = decodeResponse(received.subarray(2, 2 + received.readUInt16BE(0)));
        if (packet !== undefined && isAnswer(packet)) resolve(packet);
        else reject(new DnsError('the answer cannot be read'));
      });
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
      return () => socket.destroy();
    });
  }

  /** Runs one exchange and cleans up after it, whether it succeeds, fails or takes too long. */
  #within(
    begin: (resolve: (packet: DnsResponse) => void, reject: (error: DnsError) => void) => () => void,
  ): Promise<DnsResponse> {
    const { clock, timeoutMs } = this.#options;
    let cleanUp = (): void => undefined;
    let cancelTimeout = (): void => undefined;
    const exchange = new Promise<DnsResponse>((resolve, reject) => {
      cancelTimeout = clock.schedule(timeoutMs, () => reject(new DnsError(`no answer in ${timeoutMs} ms`)));
      cleanUp = begin(resolve, reject);
    });
    return exchange.finally(() => {
      cancelTimeout();
      cleanUp();
    });
  }
}

function answers({ id, questions }: DnsResponse, askedId: number, name: string, type: RecordType): boolean {
  const [question, ...more] = questions;
  return id === askedId && more.length === 0 && question?.type === DNS_TYPES[type] && sameName(question.name, name);
}

function read({ responseCode, answers: records, authorities }: DnsResponse, name: string, type: RecordType): DnsAnswer {
  if (responseCode !== NO_ERROR && responseCode !== NAME_ERROR) {
    throw new DnsError(`the server refuses, with response code ${responseCode}`);
  }
  const { owner, ttlSeconds: aliasTtl } = canonicalName(records, name);
  const addresses: string[] = [];
  const services: ServiceRecord[] = [];
  let ttlSeconds = aliasTtl;
  for (const record of records) {
    if (record.type !== type || !sameName(record.name, owner)) continue;
    ttlSeconds = Math.min(ttlSeconds, record.ttlSeconds);
    if (record.type === 'SRV') {
      const { priority, weight, port, target } = record;
      services.push({ priority, weight, port, target });
    } else addresses.push(record.address);
  }
  if (addresses.length > 0 || services.length > 0) return { addresses, services, ttlSeconds };
  return { addresses, services, ttlSeconds: Math.min(aliasTtl, negativeTtl(authorities)) };
}

/** Follows CNAME records; answers under any other name are not for us. */
function canonicalName(records: readonly DnsRecord[], name: string): { owner: string; ttlSeconds: number } {
  let owner = name;
  let ttlSeconds = Infinity;
  for (let step = 0; step < MAX_ALIASES; step++) {
    const alias = records.find((record) => record.type === 'CNAME' && sameName(record.name, owner));
    if (alias?.type !== 'CNAME') break;
    owner = alias.target;
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds);
  }
  return { owner, ttlSeconds };
}

/** RFC 2308 5 */
function negativeTtl(authorities: readonly DnsRecord[]): number {
  const authority = authorities.find((record) => record.type === 'SOA');
  return authority?.type === 'SOA'
    ? Math.min(authority.ttlSeconds, authority.minimumSeconds, MAX_NEGATIVE_SECONDS)
    : DEFAULT_NEGATIVE_SECONDS;
}

function sameName(one: string, other: string): boolean {
  return one.replace(/\.$/, '').toLowerCase() === other.replace(/\.$/, '').toLowerCase();
}
