import type { GroupCommit } from '../storage/group-commit.ts';
import type { Clock } from './clock.ts';
import type { Federation } from './federation/federation.ts';
import type { Session } from './routing/session.ts';
import type { ClientStream } from './streams/client-stream.ts';

/** How long stanzas that have come in may take to be stored, delivered or refused when the server stops. */
const SETTLE_MS = 5000;
/** How long the last bytes of streams may take. */
const GRACE_MS = 1000;
const POLL_MS = 20;

/**
 * Ends every stream so that nobody is left in doubt: reads no further, lets what has come in settle, acknowledges it
 * (XEP-0198), and only then ends streams. New streams must not begin any more.
 */
export async function endStreams(
  streams: Set<ClientStream>,
  sessions: Iterable<Session>,
  commit: GroupCommit,
  clock: Clock,
): Promise<void> {
  for (const stream of streams) stream.stopReading();
  await within(SETTLE_MS, clock, settled(sessions, commit));
  for (const stream of [...streams]) {
    const { session } = stream;
    if (session?.isAcknowledging === true) stream.output.payAcknowledgement(session.inbound.handled);
    stream.shutDown();
  }
  for (const { connection } of streams) connection.flush();
  const until = clock.monotonic() + GRACE_MS;
  while (streams.size > 0 && clock.monotonic() < until) {
    await new Promise<void>((resolve) => void clock.schedule(POLL_MS, resolve));
  }
  for (const { connection } of streams) connection.destroy();
}

/**
 * Every stanza taken from a client, also from one that has lost its stream, has met its fate, and what follows from that
 * is committed too.
 */
async function settled(sessions: Iterable<Session>, commit: GroupCommit): Promise<void> {
  const reached = [...sessions].map(({ inbound }) => new Promise<void>((resolve) => inbound.whenReached(resolve)));
  await Promise.all(reached);
  await commit.flush();
}

/** Resolves with the work, or when the time is over. */
async function within(limitMs: number, clock: Clock, work: Promise<void>): Promise<void> {
  let cancel = (): void => undefined;
  const over = new Promise<void>((resolve) => (cancel = clock.schedule(limitMs, resolve)));
  await Promise.race([work, over]);
  cancel();
}

/**
 * Closes the streams to other servers, and waits a moment for them to agree; before that for them to say what has arrived, for
 * the rest comes back to its senders.
 */
export async function endFederation(federation: Federation, clock: Clock): Promise<void> {
  const askedUntil = clock.monotonic() + GRACE_MS;
  while (federation.askForArrival() && clock.monotonic() < askedUntil) {
    await new Promise<void>((resolve) => void clock.schedule(POLL_MS, resolve));
  }
  federation.shutDown();
  const until = clock.monotonic() + GRACE_MS;
  while (federation.streamCount > 0 && clock.monotonic() < until) {
    await new Promise<void>((resolve) => void clock.schedule(POLL_MS, resolve));
  }
  federation.abandon();
}
