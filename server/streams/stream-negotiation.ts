import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import type { ScannerLimits } from '../../stanzas/scanner.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { ClientStream } from './client-stream.ts';
import { bindResource } from './resource-binding.ts';
import { SaslProfiles } from './sasl-profiles.ts';
import { negotiateSecurity } from './security-negotiation.ts';
import { checkClaim, checkHeader, claimOf, domainOf, featuresBytes, headerBytes, langOf } from './stream-opening.ts';

/** What a client and its stream agree on before stanzas flow (RFC 6120 4.3), and what is known of the client by then. */
export class StreamNegotiation {
  /** The domain the client asked for, once it has. */
  domain: string | undefined;
  /** The bare JID that the protected stream header says it is from (RFC 6120 4.7.1). */
  claimed: string | undefined;
  /** The bare JID that was authenticated. */
  authenticated: string | undefined;
  /** The client installation that it said it is (XEP-0388), by its name for operators; undefined where it did not say. */
  client: string | undefined;
  /** Default language of the stanzas of this stream (RFC 6120 4.7.4). */
  lang: string | undefined;
  bindAttempts = 0;
  readonly #stream: ClientStream;
  #sasl: SaslProfiles | undefined;
  #hasSentHeader = false;

  constructor(stream: ClientStream) {
    this.#stream = stream;
  }

  /** What a scanner takes from the client now. */
  get limits(): ScannerLimits {
    const { unauthenticated, authenticated } = this.#stream.context.scannerLimits;
    return this.authenticated === undefined ? unauthenticated : authenticated;
  }

  /** Answers the client's stream header, and says what may be negotiated. Throws StreamError. */
  open(header: StreamHeader): void {
    const { context, connection } = this.#stream;
    this.lang = langOf(header);
    const domain = domainOf(header, this.domain, context);
    const earlierDomain = this.domain;
    if (domain !== undefined && context.domains.has(domain)) this.domain = domain;
    this.#writeHeader(header);
    checkHeader(header, domain, earlierDomain, context);
    this.claimed = connection.security.encrypted ? claimOf(header, context) : undefined;
    if (this.authenticated !== undefined) checkClaim(this.claimed, this.authenticated);
    else {
      const { security, remoteAddress: address } = connection;
      // Spread last: a copy that grows afterwards becomes a dictionary, and takes 6 µs in place of a half.
      this.#sasl = new SaslProfiles({ domain, security, address, ...context.sasl }, this.claimed);
    }
    this.writeFeatures();
  }

  /** RFC 6120 4.9.1.2: an error during setup follows our own header. */
  ensureHeader(): void {
    if (!this.#hasSentHeader) this.#writeHeader(undefined);
  }

  /** Takes an element of a client that has no session. Throws StreamError. */
  take(frame: Frame): void {
    if (this.authenticated !== undefined) bindResource(this.#stream, this.authenticated, frame);
    else if (this.#sasl !== undefined) negotiateSecurity(this.#stream, this.#sasl, frame);
    else throw new StreamError('not-authorized', 'A stream begins with its header');
  }

  writeFeatures(): void {
    this.#stream.connection.write(featuresBytes(this.#stream, this.#sasl, this.limits.maxBytes));
  }

  /** The client is authenticated and goes on within this stream (XEP-0388, "Success"). */
  authenticatedWithin(bare: string): void {
    this.authenticated = bare;
    this.#sasl = undefined;
  }

  /** Both sides open the stream anew (RFC 6120 4.3.3). */
  restart(): void {
    this.#sasl = undefined;
    this.#hasSentHeader = false;
  }

  #writeHeader(header: StreamHeader | undefined): void {
    const { context, connection } = this.#stream;
    const from = this.domain ?? [...context.domains][0] ?? '';
    this.#hasSentHeader = true;
    connection.write(headerBytes(connection, from, header, context));
  }
}
