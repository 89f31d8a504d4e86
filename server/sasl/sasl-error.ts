import { escapeText, toByteString } from '../../stanzas/byte-string.ts';
import { NS } from '../../stanzas/namespaces.ts';

/** The defined conditions of RFC 6120 6.5, each with the RFC's meaning. */
export type SaslFailure =
  | 'aborted' // acknowledges <abort/>
  | 'account-disabled' // the account is temporarily disabled
  | 'credentials-expired' // the credentials have expired
  | 'encryption-required' // the mechanism needs a protected stream
  | 'incorrect-encoding' // the base 64 is not base 64
  | 'invalid-authzid' // malformed, or another entity's
  | 'invalid-mechanism' // none named, or one we do not support
  | 'malformed-request' // violates the syntax of the mechanism or of the exchange
  | 'mechanism-too-weak' // weaker than policy permits
  | 'not-authorized' // wrong credentials, or a reason that is not disclosed
  | 'temporary-auth-failure'; // try again later

/** Ends one handshake. Thrown anywhere below a negotiation, turned into XML only there (RFC 6120 6.4.5). */
export class SaslError extends Error {
  readonly condition: SaslFailure;
  /** English, sent to the peer: says nothing that depends on what the server keeps. '' for none. */
  readonly text: string;
  /** Serialised application-specific condition (XEP-0388, "Failure"), a byte string, '' for none; unknown to RFC 6120. */
  readonly application: string;

  constructor(condition: SaslFailure, text = '', application = '') {
    super(text === '' ? condition : `${condition}: ${text}`);
    this.name = 'SaslError';
    this.condition = condition;
    this.text = text;
    this.application = application;
  }

  /** The `<failure/>` element as a byte string (RFC 6120 6.5). */
  toBytes(): string {
    const text = this.text === '' ? '' : `<text xml:lang='en'>${toByteString(escapeText(this.text))}</text>`;
    return `<failure xmlns='${NS.SASL}'><${this.condition}/>${text}</failure>`;
  }

  /** The same for XEP-0388. */
  toExtensibleBytes(): string {
    const text = this.text === '' ? '' : `<text>${toByteString(escapeText(this.text))}</text>`;
    return `<failure xmlns='${NS.SASL2}'><${this.condition} xmlns='${NS.SASL}'/>${this.application}${text}</failure>`;
  }
}
