import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Session } from '../routing/session.ts';
import type { ClientStream } from './client-stream.ts';

/** XEP-0198: Stream Management, acknowledgements. Resumption is not offered yet. */
export function manageStream(stream: ClientStream, session: Session, frame: Frame): void {
  switch (frame.name) {
    case 'enable':
      // XEP-0198 3: once per stream
      if (session.isAcknowledging) {
        stream.writeElement(
          `<failed xmlns='${NS.STREAM_MANAGEMENT}'><unexpected-request xmlns='${NS.STANZA_ERRORS}'/></failed>`,
        );
        return;
      }
      session.startAcknowledging();
      stream.writeElement(`<enabled xmlns='${NS.STREAM_MANAGEMENT}'/>`);
      return;
    case 'resume':
      stream.writeElement(
        `<failed xmlns='${NS.STREAM_MANAGEMENT}'><unexpected-request xmlns='${NS.STANZA_ERRORS}'/></failed>`,
      );
      return;
    case 'r':
      if (!session.isAcknowledging)
        throw new StreamError('unsupported-stanza-type', 'Stream management is not enabled');
      // Behind the commit of what came before it: <a/> means stored, delivered or refused.
      session.inbound.whenReached(() => {
        stream.writeElement(`<a xmlns='${NS.STREAM_MANAGEMENT}' h='${String(session.inbound.handled)}'/>`);
      });
      return;
    case 'a':
      if (!session.isAcknowledging)
        throw new StreamError('unsupported-stanza-type', 'Stream management is not enabled');
      acknowledge(stream, session, otherAttribute(frame, 'h') ?? '');
      return;
    default:
      throw new StreamError('unsupported-stanza-type', 'No such element of stream management');
  }
}

function acknowledge(stream: ClientStream, session: Session, h: string): void {
  const count = /^\d{1,10}$/.test(h) ? Number(h) : NaN;
  if (!(count < 2 ** 32)) throw new StreamError('bad-format', 'The attribute h is a number of 32 bits');
  if (!session.acknowledge(count)) {
    // XEP-0198 4
    const application = `<handled-count-too-high xmlns='${NS.STREAM_MANAGEMENT}' h='${String(count)}' send-count='${String(session.sent)}'/>`;
    throw new StreamError('undefined-condition', 'More was acknowledged than sent', application);
  }
  stream.acknowledgementCame();
  if (session.unconfirmedCount > 0) stream.requestAcknowledgement();
}
