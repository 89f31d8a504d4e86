import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { FederationContext } from './federation-context.ts';
import type { ProvedPairs } from './proved-pairs.ts';
import { countOf, type StreamFlow } from './stream-flow.ts';

const RESUMPTION_SECONDS = 300;

/** The stream whose management a peer asks for. */
export interface AnsweringStream {
  readonly context: FederationContext;
  readonly flow: StreamFlow;
  readonly isAuthenticated: boolean;
  readonly pairs: Pick<ProvedPairs, 'sender' | 'receivesFrom'>;
  write(bytes: string): void;
  /** @throws StreamError */
  resume(flow: StreamFlow, handled: number): void;
}

/** Answers what the initiating entity asks of stream management (XEP-0198 3, 5); false for other elements. @throws StreamError */
export function answerManagement(frame: Frame, stream: AnsweringStream): boolean {
  if (frame.name === 'enable') enable(frame, stream);
  else if (frame.name === 'resume') resume(frame, stream);
  else return false;
  return true;
}

function enable(frame: Frame, stream: AnsweringStream): void {
  const { flow, context } = stream;
  if (!stream.isAuthenticated || flow.isCounting) {
    refuse(stream, 'unexpected-request');
    return;
  }
  flow.startCounting();
  const wish = otherAttribute(frame, 'resume');
  if (wish !== 'true' && wish !== '1') {
    stream.write(`<enabled xmlns='${NS.STREAM_MANAGEMENT}'/>`);
    return;
  }
  flow.resumptionId = context.randomId();
  flow.peer = stream.pairs.sender;
  flow.resumptionMs = RESUMPTION_SECONDS * 1000;
  stream.write(
    `<enabled xmlns='${NS.STREAM_MANAGEMENT}' id='${flow.resumptionId}' resume='true' max='${RESUMPTION_SECONDS}'/>`,
  );
}

function resume(frame: Frame, stream: AnsweringStream): void {
  const id = otherAttribute(frame, 'previd') ?? '';
  const handled = countOf(frame); // before anything is taken that would be lost with it
  const kept = stream.flow.isCounting ? undefined : stream.context.events.takeKept(id, stream.pairs);
  if (kept === undefined) {
    refuse(stream, stream.isAuthenticated ? 'item-not-found' : 'unexpected-request');
    return;
  }
  const previous = toByteString(escapeAttribute(id));
  stream.write(`<resumed xmlns='${NS.STREAM_MANAGEMENT}' previd='${previous}' h='${kept.inbound.handled}'/>`);
  stream.resume(kept, handled);
}

function refuse(stream: AnsweringStream, condition: 'unexpected-request' | 'item-not-found'): void {
  stream.write(`<failed xmlns='${NS.STREAM_MANAGEMENT}'><${condition} xmlns='${NS.STANZA_ERRORS}'/></failed>`);
}
