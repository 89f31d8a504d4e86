import { createHash } from 'node:crypto';

import { NS } from '../../stanzas/namespaces.ts';
import { ExtensibleNegotiation } from '../sasl/extensible-negotiation.ts';
import { Handshakes, type SaslContext } from '../sasl/handshakes.ts';
import { SaslNegotiation } from '../sasl/negotiation.ts';
import type { StreamContext } from './stream-context.ts';

/** The two ways to log in on one stream, RFC 6120 6 and XEP-0388; attempts are counted together. */
export class SaslProfiles {
  readonly sasl: SaslNegotiation;
  /** Undefined on a stream that is not encrypted (XEP-0388, "Security Considerations"). */
  readonly extensible: ExtensibleNegotiation | undefined;
  /** When the login under way began, monotonic milliseconds. */
  loginBeganMs = 0;

  /** @param claimed the bare JID that the stream header says it is from */
  constructor(context: SaslContext, claimed: string | undefined) {
    const handshakes = new Handshakes(context);
    this.sasl = new SaslNegotiation(context, handshakes);
    this.extensible = context.security.encrypted ? new ExtensibleNegotiation(handshakes, claimed) : undefined;
  }

  /** The features of the stream, a byte string: both profiles beside the `others`, and their version (XEP-0509). */
  announce(others: string, context: StreamContext): string {
    const features = this.sasl.features() + (this.extensible?.features(inlineFeatures(context)) ?? '') + others;
    if (this.extensible === undefined) return features;
    const version = versionOf(features);
    this.extensible.announced(version);
    return `${features}<config-version xmlns='${NS.PIPELINING}' scheme='opaque' value='${version}'/>`;
  }
}

/** What may be negotiated together with authentication. */
function inlineFeatures({ bindFeatures, config }: StreamContext): string {
  const management = `<feature var='${NS.STREAM_MANAGEMENT}'/>`;
  const bind = `<bind xmlns='${NS.BIND2}'><inline>${bindFeatures.announcement()}${management}</inline></bind>`;
  return config.c2s.resumptionSeconds > 0 ? `${bind}<sm xmlns='${NS.STREAM_MANAGEMENT}'/>` : bind;
}

/** What comes and goes with TLS session resumption, and with nothing that anybody configured. */
const OF_THE_HANDSHAKE = ["<channel-binding type='tls-unique'/>", '<mechanism>HT-SHA-256-UNIQ</mechanism>'];

/**
 * The opaque version of features (XEP-0509). A phone that returns over a resumed TLS session has no tls-unique: it does
 * not count, or every such return would cost the round trip that pipelining saves.
 */
function versionOf(features: string): string {
  const lasting = OF_THE_HANDSHAKE.reduce((rest, part) => rest.replace(part, ''), features);
  return createHash('sha256').update(lasting, 'latin1').digest('base64').slice(0, 24);
}
