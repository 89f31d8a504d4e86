import { element, type Element } from './element.ts';
import { NS } from './namespaces.ts';

/** RFC 6120 8.3.2: what the sender may do about the error. */
export type StanzaErrorType = 'auth' | 'cancel' | 'continue' | 'modify' | 'wait';

/** The defined conditions of RFC 6120 8.3.3, each with the type the RFC recommends for it. */
const RECOMMENDED_TYPES = {
  'bad-request': 'modify', // does not conform to the schema, or cannot be processed
  conflict: 'cancel', // something of that name exists already
  'feature-not-implemented': 'cancel', // understood, not offered here
  forbidden: 'auth', // the sender lacks the permission
  gone: 'cancel', // moved away for good
  'internal-server-error': 'cancel', // a bug or a broken dependency
  'item-not-found': 'cancel', // no such thing
  'jid-malformed': 'modify', // an address that violates RFC 7622
  'not-acceptable': 'modify', // understood, but refused by local criteria
  'not-allowed': 'cancel', // nobody may do this
  'not-authorized': 'auth', // credentials are needed first
  'policy-violation': 'modify', // a local policy, such as a size limit
  'recipient-unavailable': 'wait', // not reachable for now
  redirect: 'modify', // use another address
  'registration-required': 'auth', // membership is needed first
  'remote-server-not-found': 'cancel', // the domain does not exist or cannot be resolved
  'remote-server-timeout': 'wait', // the domain exists, but does not answer
  'resource-constraint': 'wait', // too little room or time at the server
  'service-unavailable': 'cancel', // not offered, or deliberately not said
  'subscription-required': 'auth', // a presence subscription is needed first
  'undefined-condition': 'cancel', // see the application condition beside it
  'unexpected-request': 'wait', // out of order
} as const satisfies Record<string, StanzaErrorType>;

export type StanzaErrorCondition = keyof typeof RECOMMENDED_TYPES;

/** Refuses a stanza. Thrown by whoever handles it, turned into XML only by the pipeline (RFC 6120 8.3). */
export class StanzaError extends Error {
  readonly condition: StanzaErrorCondition;
  readonly type: StanzaErrorType;
  readonly text: string;
  readonly application: Element | undefined;

  /** @param text says in English what was wrong, for the sender to read; type as the RFC recommends unless given. */
  constructor(condition: StanzaErrorCondition, text = '', type?: StanzaErrorType, application?: Element) {
    super(text === '' ? condition : `${condition}: ${text}`);
    this.name = 'StanzaError';
    this.condition = condition;
    this.type = type ?? RECOMMENDED_TYPES[condition];
    this.text = text;
    this.application = application;
  }

  /** The `<error/>` child of an error stanza (RFC 6120 8.3.2). */
  toElement(): Element {
    const nodes: Element[] = [element(this.condition, NS.STANZA_ERRORS)];
    if (this.text !== '') nodes.push(element('text', NS.STANZA_ERRORS, { 'xml:lang': 'en' }, this.text));
    if (this.application !== undefined) nodes.push(this.application);
    return element('error', NS.CLIENT, { type: this.type }, ...nodes);
  }
}
