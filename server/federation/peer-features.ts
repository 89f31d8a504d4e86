import { parseElement, type Element } from '../../stanzas/element.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scope } from '../../stanzas/scope.ts';

/** What another server announces (RFC 6120 4.3.2). */
export interface PeerFeatures {
  readonly canStartTls: boolean;
  readonly mechanisms: readonly string[];
  /** XEP-0288 */
  readonly isBidirectional: boolean;
  /** XEP-0220 2.4 */
  readonly hasDialback: boolean;
  /** XEP-0220 2.4.2 */
  readonly hasDialbackErrors: boolean;
  /** XEP-0198 */
  readonly hasManagement: boolean;
}

/** Reads `<stream:features/>`. */
export function featuresOf(frame: Frame): PeerFeatures {
  const scope = Scope.of(NS.SERVER).within(frame.others);
  const child = (name: string, namespace: string): Element | undefined => {
    const found = frame.children.find((one) => one.name === name && one.namespace === namespace);
    return found === undefined ? undefined : parseElement(frame.content.slice(found.start, found.end), scope);
  };
  return {
    canStartTls: child('starttls', NS.TLS) !== undefined,
    mechanisms: (child('mechanisms', NS.SASL)?.childrenNamed('mechanism') ?? []).map(({ text }) => text.trim()),
    isBidirectional: child('bidi', NS.BIDI_FEATURE) !== undefined,
    hasDialback: child('dialback', NS.DIALBACK_FEATURE) !== undefined,
    hasDialbackErrors: child('dialback', NS.DIALBACK_FEATURE)?.child('errors') !== undefined,
    hasManagement: child('sm', NS.STREAM_MANAGEMENT) !== undefined,
  };
}
