import type { ClientConnection } from './client-connection.ts';
import { MessageCheck, MessageRun } from './messages.ts';
import type { Latencies } from './protocol.ts';

const DRAIN_TIMEOUT_MS = 30_000;
/** What is late goes in pieces of this size at most. */
const CAPACITY = 64;

/** Options of sendOnTime. */
export interface TimedLoadOptions {
  readonly pairs: number;
  readonly perSecond: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/**
 * Sends messages at fixed times, one pair after the other, and tells how long after its time each arrived: a server that
 * stalls delays no later message's time, so that the stall shows in all of them. The process spins to be on time. Rejects
 * with an Error where a message is lost, repeated or out of order.
 */
export async function sendOnTime(
  connections: readonly ClientConnection[],
  { pairs, perSecond, warmUpSeconds, seconds }: TimedLoadOptions,
): Promise<Latencies> {
  const intervalMs = 1000 / perSecond;
  const total = Math.round((warmUpSeconds + seconds) * perSecond);
  const warmUp = Math.round(warmUpSeconds * perSecond);
  const latencies = new Float64Array(total - warmUp);
  const runs: { readonly sender: ClientConnection; readonly run: MessageRun; sent: number }[] = [];
  let failure: Error | undefined;
  let arrived = 0;
  const startMs = performance.now() + 50;
  for (let pair = 0; pair < pairs; pair++) {
    const sender = connections[pair * 2]!;
    const recipient = connections[pair * 2 + 1]!;
    const check = new MessageCheck();
    runs.push({ sender, run: new MessageRun(recipient.user, CAPACITY), sent: 0 });
    recipient.receiver = (bytes, length) => {
      const nowMs = performance.now();
      const count = check.scan(bytes, length);
      for (let number = check.next - count; number < check.next; number++) {
        const index = number * pairs + pair;
        if (index >= warmUp) latencies[index - warmUp] = nowMs - (startMs + index * intervalMs);
      }
      arrived += count;
    };
    for (const connection of [sender, recipient]) connection.onFailure = (error) => (failure ??= error);
  }

  let next = 0;
  const untilMs = startMs + total * intervalMs + DRAIN_TIMEOUT_MS;
  while (arrived < total) {
    if (failure !== undefined) throw failure;
    const nowMs = performance.now();
    if (nowMs > untilMs) throw new Error(`${total - arrived} messages were not delivered`);
    for (; next < total && startMs + next * intervalMs <= nowMs; next++) {
      const pair = runs[next % pairs]!;
      pair.sender.write(pair.run.take(pair.sent++, 1, pair.sender.isDrained));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  latencies.sort();
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]!;
  return { count: latencies.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: latencies.at(-1)! };
}
