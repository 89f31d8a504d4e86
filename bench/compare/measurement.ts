import { setTimeout as sleep } from 'node:timers/promises';
import type { Scale } from './scale.ts';
import type { Security } from '../load/client-connection.ts';
import type { RunningServer } from '../peers/peer.ts';
import { processorTime, type Pace } from './process-usage.ts';
import type { RowContext, Values } from './row.ts';

const IDLE_POLL_MS = 250;
const IDLE_SHARE = 0.03;
const IDLE_TIMEOUT_MS = 60_000;
/** Logins at a time where the login is not what is measured. */
export const ARRIVALS_AT_ONCE = 64;

/** Where the load generator connects to. */
export function endpointOf(server: RunningServer, security: Security): { port: number; security: Security } {
  return { port: security === 'direct-tls' ? server.directTlsPort : server.port, security };
}

/** Waits until a server has nothing to do any more, a minute at most. */
export async function untilIdle({ pid }: RunningServer): Promise<void> {
  let before = processorTime(pid, 'paced').mainUs;
  for (let waitedMs = 0; waitedMs < IDLE_TIMEOUT_MS; waitedMs += IDLE_POLL_MS) {
    await sleep(IDLE_POLL_MS);
    const now = processorTime(pid, 'paced').mainUs;
    if (now - before < IDLE_POLL_MS * 1000 * IDLE_SHARE) return;
    before = now;
  }
}

/** Waits until an idle server has done what it does when it is idle. */
export function settle({ settleSeconds }: Scale): Promise<void> {
  return sleep(settleSeconds * 1000);
}

/** Options of measureChat. */
export interface ChatOptions {
  readonly pairs: number;
  readonly window: number;
  readonly security: Security;
  readonly pace: Pace;
}

/**
 * Chats for a while between two readings, on connections of its own: processor time per delivered message, of the server's
 * main process, its children and the generator, messages per second, and when that
 * was, on the system's monotonic clock.
 */
export async function measureChat(
  { server, load, scale }: RowContext,
  { pairs, window, security, pace }: ChatOptions,
): Promise<Values> {
  const endpoint = endpointOf(server, security);
  const open = { endpoint, from: 0, count: pairs * 2, atOnce: ARRIVALS_AT_ONCE, arrives: true };
  const { tlsVersion } = await load.run('open', open);
  if (security !== 'plaintext' && tlsVersion !== 'TLSv1.3') throw new Error(`TLS 1.3 was wanted, not ${tlsVersion}`);
  await untilIdle(server);
  await load.run('startChat', { pairs, window });
  await sleep(scale.warmUpSeconds * 1000);
  const first = await load.run('readChat', {});
  const fromUs = Number(process.hrtime.bigint() / 1000n);
  const processorBefore = processorTime(server.pid, pace);
  await sleep(scale.seconds * 1000);
  const last = await load.run('readChat', {});
  const processorAfter = processorTime(server.pid, pace);
  await load.run('endChat', {});
  await load.run('reset', {});
  await untilIdle(server);
  const delivered = last.delivered - first.delivered;
  if (delivered === 0) throw new Error(`nothing was delivered in ${scale.seconds} s`);
  const mainUs = processorAfter.mainUs - processorBefore.mainUs;
  const childrenUs = processorAfter.childrenUs - processorBefore.childrenUs;
  return {
    processorUs: (mainUs + childrenUs) / delivered,
    childrenUs: childrenUs / delivered,
    perSecond: delivered / ((last.atMs - first.atMs) / 1000),
    generatorUs: (last.processorUs - first.processorUs) / delivered,
    fromUs,
    toUs: fromUs + (last.atMs - first.atMs) * 1000,
  };
}
