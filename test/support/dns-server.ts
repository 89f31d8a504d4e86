import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { isIPv6 } from 'node:net';
import { DNS_TYPES, encodeName, type DnsRecord } from '../../server/federation/dns-message.ts';

const RESPONSE = 0x8000;
const TRUNCATED = 0x0200;
/** As a recursive server answers who asks for that. */
const RECURSION = 0x0180;
/** RFC 1035 4.1.1 */
const NAME_ERROR = 3;
const HEADER_BYTES = 12;

export interface DnsServerForTests {
  readonly port: number;
  /** Every question so far: `SRV _xmpp-server._tcp.capulet.example`. */
  readonly questions: string[];
  /** What it knows; other names do not exist. */
  records: DnsRecord[];
  /** What comes with the news that there is nothing (RFC 2308). */
  authority: DnsRecord | undefined;
  /** Whether datagrams are answered with "truncated", so that the question comes again over TCP. */
  truncates: boolean;
  /** Whether questions are left without an answer. */
  isSilent: boolean;
  close(): void;
}

/** A DNS server on loopback, over UDP and TCP on the same port. */
export async function dnsServerForTests(records: DnsRecord[], address = '127.0.0.1'): Promise<DnsServerForTests> {
  const udp: Socket = createSocket('udp4');
  const connections = new Set<TcpSocket>();
  const tcp: Server = createServer((socket) => connections.add(socket));
  await new Promise<void>((resolve) => tcp.listen(0, address, resolve));
  const { port } = tcp.address() as AddressInfo;
  await new Promise<void>((resolve) => udp.bind(port, address, resolve));
  const server: DnsServerForTests = {
    port,
    questions: [],
    records,
    authority: undefined,
    truncates: false,
    isSilent: false,
    close() {
      udp.close();
      tcp.close();
      for (const connection of connections) connection.destroy();
    },
  };
  /** An alias and what it leads to. */
  const withTarget = (record: DnsRecord): DnsRecord[] =>
    record.type === 'CNAME' ? [record, ...server.records.filter(({ name }) => name === record.target)] : [record];
  const answer = (query: Buffer, isDatagram: boolean): Buffer | undefined => {
    if (server.isSilent) return undefined;
    const { name, type, question } = questionOf(query);
    const typeName = Object.entries(DNS_TYPES).find(([, number]) => number === type)?.[0] ?? String(type);
    server.questions.push(`${typeName} ${name}`);
    const isTruncated = isDatagram && server.truncates;
    const named = server.records.filter((record) => record.name === name);
    const answers = isTruncated
      ? []
      : named.filter((record) => record.type === typeName || record.type === 'CNAME').flatMap(withTarget);
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(
      RESPONSE | RECURSION | (isTruncated ? TRUNCATED : 0) | (named.length === 0 ? NAME_ERROR : 0),
      2,
    );
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    const authorities = answers.length > 0 || server.authority === undefined ? [] : [server.authority];
    header.writeUInt16BE(authorities.length, 8);
    return Buffer.concat([header, question, ...[...answers, ...authorities].map(encodeRecord)]);
  };
  udp.on('message', (query, from) => {
    const response = answer(query, true);
    if (response !== undefined) udp.send(response, from.port, from.address);
  });
  tcp.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      const response = answer(chunk.subarray(2), false);
      if (response === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(response.length);
      // In two pieces, as a network may
      socket.write(length.subarray(0, 1));
      setImmediate(() => socket.write(Buffer.concat([length.subarray(1), response])));
    });
  });
  return server;
}

export function srv(
  domain: string,
  target: string,
  port: number,
  more: Partial<{ priority: number; weight: number; direct: boolean; ttl: number }> = {},
): DnsRecord {
  const { priority = 0, weight = 0, direct = false, ttl = 300 } = more;
  const name = `_${direct ? 'xmpps' : 'xmpp'}-server._tcp.${domain}`;
  return { type: 'SRV', name, ttlSeconds: ttl, priority, weight, port, target };
}

function questionOf(query: Buffer): { readonly name: string; readonly type: number; readonly question: Buffer } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), question: query.subarray(HEADER_BYTES, at + 5) };
}

function encodeRecord(record: DnsRecord): Buffer {
  const content = contentOf(record);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(DNS_TYPES[record.type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(record.ttlSeconds, 4);
  fixed.writeUInt16BE(content.length, 8);
  return Buffer.concat([encodeName(record.name), fixed, content]);
}

function contentOf(record: DnsRecord): Buffer {
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return addressBytes(record.address);
    case 'CNAME':
      return encodeName(record.target);
    case 'SRV': {
      const numbers = Buffer.alloc(6);
      numbers.writeUInt16BE(record.priority, 0);
      numbers.writeUInt16BE(record.weight, 2);
      numbers.writeUInt16BE(record.port, 4);
      return Buffer.concat([numbers, encodeName(record.target)]);
    }
    case 'SOA': {
      const numbers = Buffer.alloc(20);
      numbers.writeUInt32BE(record.minimumSeconds, 16);
      return Buffer.concat([encodeName(''), encodeName(''), numbers]);
    }
  }
}

/** IPv6 addresses of tests have two groups before `::` and one behind it. */
function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const bytes = Buffer.alloc(16);
  for (const [index, group] of head.split(':').entries()) bytes.writeUInt16BE(parseInt(group, 16), index * 2);
  bytes.writeUInt16BE(parseInt(tail, 16), 14);
  return bytes;
}
