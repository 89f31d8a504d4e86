import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Session } from '../routing/session.ts';
import type { ClientStream } from './client-stream.ts';
import { acknowledge, failedElement, numberOf } from './stream-management.ts';

/** What to answer to a `<resume/>`. */
export interface ResumptionOutcome {
  /** `<resumed/>` or `<failed/>`, a byte string. */
  readonly answer: string;
  /** Ties stream and session together and sends what was missed; call it after the answer was written. */
  readonly proceed: (() => void) | undefined;
}

/**
 * Takes a `<resume/>` (XEP-0198 5) by its attributes, from an authenticated client without a session. Resolves when
 * everything that came over the former stream is handled, so that the `h` of the answer asks for nothing twice. Rejects
 * with StreamError where the client's own count is impossible.
 * @param owner the authenticated bare JID
 */
export async function resumeSession(
  stream: ClientStream,
  owner: string,
  previd: string | undefined,
  h: string | undefined,
): Promise<ResumptionOutcome> {
  const { resumable, pipeline, counters } = stream.context;
  const count = numberOf(h);
  if (previd === undefined || Number.isNaN(count)) {
    counters.resumptions.add('malformed');
    return { answer: failedElement('bad-request'), proceed: undefined };
  }
  const session = resumable.find(owner, previd);
  if (session === undefined) return notFound(stream, owner, previd);
  acknowledge(session, count);
  do {
    takeFromFormerStream(stream, session);
    await new Promise<void>((resolve) => session.inbound.whenReached(resolve));
    if (resumable.find(owner, previd) !== session) return notFound(stream, owner, previd);
    // Of two who resume at once the later one wins; one whose own connection broke meanwhile leaves it to others.
  } while (session.stream !== undefined && stream.isNegotiating);
  const previous = `h='${session.inbound.handled}' previd='${previd}'`; // its own id, so nothing to escape
  return {
    answer: `<resumed xmlns='${NS.STREAM_MANAGEMENT}' ${previous}/>`,
    proceed: () => {
      if (!stream.isNegotiating) return;
      takeFromFormerStream(stream, session); // who asked at the same time and was told a moment ago
      resumable.attached(session);
      stream.bound(session);
      session.attach(stream);
      counters.resumptions.add('resumed');
      for (const handler of pipeline.sessionResumed) handler(session);
    },
  };
}

/** XEP-0198 5: the former stream, if it is still thought to be there, is closed with `conflict`; the session stays. */
function takeFromFormerStream({ context }: ClientStream, session: Session): void {
  const former = session.stream;
  if (former === undefined) return;
  context.resumable.detach(session);
  former.closeWithError(new StreamError('conflict', 'The session was resumed elsewhere'));
}

async function notFound({ context }: ClientStream, owner: string, previd: string): Promise<ResumptionOutcome> {
  context.counters.resumptions.add('not_found');
  const handled = await context.resumable.handledBefore(owner, previd);
  return { answer: failedElement('item-not-found', handled), proceed: undefined };
}
