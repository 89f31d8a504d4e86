import { escapeText, toByteString } from './byte-string.ts';
import { NS } from './namespaces.ts';

/** The defined conditions of RFC 6120 4.9.3, each with the RFC's meaning. */
export type StreamErrorCondition =
  | 'bad-format' // XML that cannot be processed
  | 'bad-namespace-prefix' // a prefix that is unsupported, or missing where one is needed
  | 'conflict' // a newer stream took the place of this one
  | 'connection-timeout' // the peer has been silent too long
  | 'host-gone' // the domain is no longer served here
  | 'host-unknown' // the domain was never served here
  | 'improper-addressing' // a stanza between servers without to or from
  | 'internal-server-error' // a bug or a broken dependency
  | 'invalid-from' // the from does not match what was authenticated
  | 'invalid-namespace' // the stream or content namespace is not supported
  | 'invalid-xml' // XML that the server validates and that is not valid
  | 'not-authorized' // data before authentication
  | 'not-well-formed' // not XML, or not Namespaces in XML
  | 'policy-violation' // a local policy, such as a size limit
  | 'remote-connection-failed' // another entity needed for authentication cannot be reached
  | 'reset' // new or changed security settings need a new stream
  | 'resource-constraint' // too little memory, time or room
  | 'restricted-xml' // comment, processing instruction, DTD or entity reference (RFC 6120 11.1)
  | 'see-other-host' // go elsewhere
  | 'system-shutdown' // the server stops
  | 'undefined-condition' // see the application condition beside it
  | 'unsupported-encoding' // not UTF-8
  | 'unsupported-feature' // a mandatory feature the initiator does not support
  | 'unsupported-stanza-type' // a first-level element that is no stanza
  | 'unsupported-version'; // no version 1.0

/** Ends a stream. Thrown anywhere below a stream, turned into XML only by the stream (RFC 6120 4.9). */
export class StreamError extends Error {
  readonly condition: StreamErrorCondition;
  /** Serialised application-specific condition (RFC 6120 4.9.4), a byte string, '' when there is none. */
  readonly application: string;

  /** @param text says in English what was wrong; it is sent to the peer, so it must hold no secret. */
  constructor(condition: StreamErrorCondition, text = '', application = '') {
    super(text === '' ? condition : `${condition}: ${text}`);
    this.name = 'StreamError';
    this.condition = condition;
    this.text = text;
    this.application = application;
  }

  readonly text: string;

  /** The `<stream:error/>` element as a byte string; with its own declaration of the prefix where the stream has none (RFC 7395). */
  toBytes(declarePrefix = false): string {
    const text =
      this.text === ''
        ? ''
        : `<text xmlns='${NS.STREAM_ERRORS}' xml:lang='en'>${toByteString(escapeText(this.text))}</text>`;
    const declaration = declarePrefix ? ` xmlns:stream='${NS.STREAMS}'` : '';
    return (
      `<stream:error${declaration}><${this.condition} xmlns='${NS.STREAM_ERRORS}'/>` +
      `${text}${this.application}</stream:error>`
    );
  }
}
