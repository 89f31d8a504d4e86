import { attributeBytes } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Session } from '../routing/session.ts';
import type { ClientStream } from './client-stream.ts';

/** XEP-0198: Stream Management, on a stream with a session. Throws StreamError. */
export function manageStream(stream: ClientStream, session: Session, frame: Frame): void {
  switch (frame.name) {
    case 'enable': {
      const [resume, max] = [otherAttribute(frame, 'resume'), otherAttribute(frame, 'max')];
      stream.writeElement(enableManagement(stream, session, resume, max));
      return;
    }
    case 'resume':
      stream.writeElement(failedElement('unexpected-request')); // 5: instead of binding, not after it
      return;
    case 'r':
      checkEnabled(session);
      // Behind the commit of what came before it: <a/> means stored, delivered or refused.
      stream.output.owesAcknowledgement();
      session.inbound.whenReached(() => stream.output.payAcknowledgement(session.inbound.handled));
      return;
    case 'a':
      checkEnabled(session);
      acknowledge(session, numberOf(otherAttribute(frame, 'h')));
      stream.output.acknowledgementCame();
      if (session.unconfirmedCount > 0) stream.output.requestAcknowledgement();
      return;
    default:
      throw new StreamError('unsupported-stanza-type', 'No such element of stream management');
  }
}

/**
 * Takes an `<enable/>` (XEP-0198 3) by its attributes and returns the answer, a byte string. Counting starts with it.
 */
export function enableManagement(
  { context }: ClientStream,
  session: Session,
  resume: string | undefined,
  max: string | undefined,
): string {
  // 3: once per stream
  if (session.isAcknowledging) return failedElement('unexpected-request');
  session.startAcknowledging();
  const wantsResumption = resume === 'true' || resume === '1';
  const preferredMs = max !== undefined && /^\d{1,9}$/.test(max) ? Number(max) * 1000 : undefined;
  if (!wantsResumption || !context.resumable.offer(session, preferredMs)) {
    return `<enabled xmlns='${NS.STREAM_MANAGEMENT}'/>`;
  }
  const { id, maxMs } = session.resumption!;
  const { resumeLocation } = context.config.c2s;
  const location = resumeLocation === '' ? '' : ` location='${attributeBytes(resumeLocation)}'`;
  return `<enabled xmlns='${NS.STREAM_MANAGEMENT}' id='${id}' resume='true' max='${Math.floor(maxMs / 1000)}'${location}/>`;
}

/** The client has handled `h` of the session's stanzas. Throws StreamError if that is no number or more than were sent. */
export function acknowledge(session: Session, h: number): void {
  if (Number.isNaN(h)) throw new StreamError('bad-format', 'The attribute h is a number of 32 bits');
  if (session.acknowledge(h)) return;
  // XEP-0198 6
  const application = `<handled-count-too-high xmlns='${NS.STREAM_MANAGEMENT}' h='${h}' send-count='${session.sent}'/>`;
  throw new StreamError('undefined-condition', 'More was acknowledged than sent', application);
}

/** The value of an `h` attribute; NaN where it is no xs:unsignedInt. */
export function numberOf(h: string | undefined): number {
  const value = h !== undefined && /^\d{1,10}$/.test(h) ? Number(h) : NaN;
  return value < 2 ** 32 ? value : NaN;
}

/** XEP-0198 6, a byte string. `handled` where the count of an earlier session is known. */
export function failedElement(condition: string, handled?: number): string {
  const h = handled === undefined ? '' : ` h='${handled}'`;
  return `<failed xmlns='${NS.STREAM_MANAGEMENT}'${h}><${condition} xmlns='${NS.STANZA_ERRORS}'/></failed>`;
}

function checkEnabled(session: Session): void {
  if (!session.isAcknowledging) throw new StreamError('unsupported-stanza-type', 'Stream management is not enabled');
}
