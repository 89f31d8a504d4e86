/*
 * Everybody returns at once after a restart: `npx tsx bench/storm/main.ts [clients]`. One process is the server, this one
 * is every client, over TLS with full handshakes; no client waits before it dials, which is worse than real ones do. Three
 * storms: full logins, tokens with a new session, tokens with the former session. The clients share the machine with the
 * server, and a TLS handshake costs a client about what it costs the server.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { StormClient, type Returned, type ReturnKind } from './storm-client.ts';
import { createAccounts, StormServer } from './storm-server.ts';

const PASSWORD = 'wherefore art thou';
const MIB = 1024 * 1024;
const KINDS: readonly ReturnKind[] = ['login', 'token', 'resume'];

const count = Number(process.argv[2] ?? 2000);
if (!Number.isInteger(count) || count < 1) throw new Error('usage: npx tsx bench/storm/main.ts [clients]');
const directory = await mkdtemp(join(tmpdir(), 'posthorn-storm-'));
const usernames = Array.from({ length: count }, (_, index) => `juliet${index}`);
const clients = usernames.map((username) => new StormClient(username, PASSWORD, randomUUID()));
let server: StormServer | undefined;
try {
  await createAccounts(directory, usernames, PASSWORD);
  process.stdout.write(`${count} clients over TLS, all at once after a restart\n`);
  for (const kind of KINDS) {
    server = await StormServer.start(directory);
    const { port, startUpMs, processorUs } = server;
    const returned = await Promise.all(clients.map((client) => client.comeBack(kind, port)));
    const eachMs = (server.processorUs - processorUs) / count / 1000;
    const peakMib = Math.round(server.peakResidentBytes / MIB);
    const stopMs = await server.stop();
    await Promise.all(clients.map((client) => client.gone()));
    const facts = `${eachMs.toFixed(2)} ms of processor each, start ${seconds(startUpMs)}, stop ${seconds(stopMs)}, ${peakMib} MiB`;
    process.stdout.write(`${report(kind, returned)}; server: ${facts}\n`);
  }
} finally {
  for (const client of clients) client.destroy();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
}

function report(kind: ReturnKind, returned: readonly Returned[]): string {
  const times = returned.map(({ afterMs }) => afterMs).sort((one, other) => one - other);
  const at = (share: number): string =>
    seconds(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0);
  const sum = (value: (one: Returned) => number): number => returned.reduce((total, one) => total + value(one), 0);
  return (
    `${kind.padEnd(6)}: all back after ${at(1)}, p50 ${at(0.5)}, p99 ${at(0.99)}; ` +
    `resumed ${sum(({ isResumed }) => Number(isResumed))}, told to come back ${sum(({ deferred }) => deferred)}, ` +
    `dropped ${sum(({ dropped }) => dropped)}`
  );
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
