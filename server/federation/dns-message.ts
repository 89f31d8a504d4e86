/*
 * Messages of DNS (RFC 1035 4), as far as federation needs them. What comes in is read like anything from a stranger: every
 * length is checked before it is believed.
 */
import { isIPv6 } from 'node:net';

/** The record types that are read, by name. */
export const DNS_TYPES = { A: 1, CNAME: 5, SOA: 6, AAAA: 28, SRV: 33 } as const;

/** One record; others than these are left out. Names are in lower case, without the final dot; '' is the root. */
export type DnsRecord = { readonly name: string; readonly ttlSeconds: number } & (
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'CNAME'; readonly target: string }
  | { readonly type: 'SOA'; readonly minimumSeconds: number }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
);

export interface DnsQuestion {
  readonly name: string;
  readonly type: number;
}

/** A response. */
export interface DnsResponse {
  readonly id: number;
  readonly questions: readonly DnsQuestion[];
  /** Whether it did not fit into the datagram. */
  readonly isTruncated: boolean;
  /** RFC 1035 4.1.1: 0 is "no error", 3 "name error". */
  readonly responseCode: number;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
}

const HEADER_BYTES = 12;
const CLASS_IN = 1;
const RECURSION_DESIRED = 0x0100;
const RESPONSE = 0x8000;
const TRUNCATED = 0x0200;
const CODE_MASK = 0x000f;
const OPT = 41;
/** RFC 9715: fits every path without fragments. */
const UDP_PAYLOAD_BYTES = 1232;
const MAX_LABEL_BYTES = 63;
const MAX_NAME_BYTES = 255;
/** Pointers of one name (RFC 1035 4.1.4); honest ones need no more than a few. */
const MAX_POINTERS = 16;
const MAX_RECORDS = 1000;

/** A question to a recursive server, with EDNS(0) (RFC 6891). @throws RangeError where the name is none of DNS */
export function encodeQuestion(id: number, name: string, type: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4); // questions
  header.writeUInt16BE(1, 10); // additional records
  const question = Buffer.alloc(4);
  question.writeUInt16BE(type, 0);
  question.writeUInt16BE(CLASS_IN, 2);
  const options = Buffer.alloc(11);
  options.writeUInt16BE(OPT, 1);
  options.writeUInt16BE(UDP_PAYLOAD_BYTES, 3);
  return Buffer.concat([header, encodeName(name), question, options]);
}

/** A name as its labels. @throws RangeError */
export function encodeName(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.');
  const parts = labels.map((label) => {
    const bytes = Buffer.from(label, 'latin1');
    if (bytes.length === 0 || bytes.length > MAX_LABEL_BYTES) throw new RangeError(`${name} is no name in DNS`);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  const encoded = Buffer.concat([...parts, Buffer.of(0)]);
  if (encoded.length > MAX_NAME_BYTES) throw new RangeError(`${name} is too long for DNS`);
  return encoded;
}

/** Reads a response; undefined for what is none, or cannot be read to its end. */
export function decodeResponse(bytes: Buffer): DnsResponse | undefined {
  try {
    return new Reading(bytes).response();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

class Reading {
  readonly #bytes: Buffer;
  #at = HEADER_BYTES;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  response(): DnsResponse | undefined {
    const bytes = this.#bytes;
    const flags = bytes.readUInt16BE(2);
    if ((flags & RESPONSE) === 0) return undefined;
    const [questions, answers, authorities] = [4, 6, 8].map((at) => bytes.readUInt16BE(at)) as [number, number, number];
    if (questions + answers + authorities > MAX_RECORDS) return undefined;
    return {
      id: bytes.readUInt16BE(0),
      isTruncated: (flags & TRUNCATED) !== 0,
      responseCode: flags & CODE_MASK,
      questions: Array.from({ length: questions }, () => this.#question()),
      answers: this.#records(answers),
      authorities: this.#records(authorities),
    };
  }

  #question(): DnsQuestion {
    const name = this.#name();
    const type = this.#number(2);
    this.#number(2);
    return { name, type };
  }

  #records(count: number): DnsRecord[] {
    return Array.from({ length: count }, () => this.#record()).filter((record) => record !== undefined);
  }

  #record(): DnsRecord | undefined {
    const name = this.#name();
    const type = this.#number(2);
    const isInternet = this.#number(2) === CLASS_IN;
    const ttlSeconds = this.#number(4) & 0x7fff_ffff;
    const length = this.#number(2);
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('a record is longer than the message');
    const record = isInternet ? this.#content(type, length) : undefined;
    if (record !== undefined && this.#at !== end) throw new RangeError('a record has another length than it says');
    this.#at = end;
    return record === undefined ? undefined : { name, ttlSeconds, ...record };
  }

  #content(type: number, length: number) {
    switch (type) {
      case DNS_TYPES.A:
        return { type: 'A', address: [...this.#take(4)].join('.') } as const;
      case DNS_TYPES.AAAA:
        return { type: 'AAAA', address: addressText(this.#take(16)) } as const;
      case DNS_TYPES.CNAME:
        return { type: 'CNAME', target: this.#name() } as const;
      case DNS_TYPES.SRV: {
        const [priority, weight, port] = [this.#number(2), this.#number(2), this.#number(2)];
        return { type: 'SRV', priority, weight, port, target: this.#name() } as const;
      }
      case DNS_TYPES.SOA: {
        this.#name();
        this.#name();
        this.#take(16);
        return { type: 'SOA', minimumSeconds: this.#number(4) } as const;
      }
      default:
        this.#take(length);
        return undefined;
    }
  }

  #number(length: number): number {
    const value = this.#bytes.readUIntBE(this.#at, length);
    this.#at += length;
    return value;
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('the message ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** RFC 1035 4.1.4: a pointer goes on elsewhere, and only ever backwards. */
  #name(): string {
    const bytes = this.#bytes;
    const labels: string[] = [];
    let at = this.#at;
    let behind: number | undefined;
    let octets = 0;
    for (let pointers = 0; ;) {
      const length = bytes.readUInt8(at);
      if (length === 0) {
        this.#at = behind ?? at + 1;
        return labels.join('.').toLowerCase();
      }
      if (length >= 0xc0) {
        const target = bytes.readUInt16BE(at) & 0x3fff;
        if (target >= at || ++pointers > MAX_POINTERS) throw new RangeError('a pointer leads nowhere');
        behind ??= at + 2;
        at = target;
        continue;
      }
      if (length > MAX_LABEL_BYTES || at + 1 + length > bytes.length) throw new RangeError('a label is too long');
      octets += length + 1;
      if (octets > MAX_NAME_BYTES) throw new RangeError('a name is too long');
      labels.push(bytes.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
  }
}

function addressText(octets: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(index * 2).toString(16));
  const text = new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
  return isIPv6(text) ? text : groups.join(':');
}
