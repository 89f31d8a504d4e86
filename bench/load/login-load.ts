import { ClientConnection, type Endpoint, type Shared } from './client-connection.ts';

/** Runs `count` tasks, `atOnce` at a time. Rejects with the first failure. */
export async function inTurns(count: number, atOnce: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

/** Options of logInAndOut. */
export interface LoginLoadOptions {
  readonly endpoint: Endpoint;
  readonly users: number;
  readonly count: number;
  readonly atOnce: number;
  /** Whether every TLS handshake resumes the session of a first connection. */
  readonly isResuming: boolean;
}

/** Logs in up to the bound resource and out again, again and again; tells how long that took and how many were resumed. */
export async function logInAndOut(
  { endpoint, users, count, atOnce, isResuming }: LoginLoadOptions,
  shared: Shared,
): Promise<{ seconds: number; resumed: number }> {
  const session = isResuming ? await ticketOf(endpoint, shared) : undefined;
  const start = performance.now();
  let resumed = 0;
  await inTurns(count, atOnce, async (index) => {
    const connection = await ClientConnection.open(index % users, endpoint, shared, { session });
    if (connection.isResumed) resumed++;
    await connection.leave();
  });
  return { seconds: (performance.now() - start) / 1000, resumed };
}

async function ticketOf(endpoint: Endpoint, shared: Shared): Promise<Buffer | undefined> {
  const connection = await ClientConnection.open(0, endpoint, shared);
  await connection.leave();
  return connection.tlsSession;
}
