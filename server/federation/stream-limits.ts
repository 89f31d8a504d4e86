import type { Config } from '../../config/options.ts';
import { parseElement } from '../../stanzas/element.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { ScannerLimits } from '../../stanzas/scanner.ts';
import { Scope } from '../../stanzas/scope.ts';
import { RateLimit } from '../streams/rate-limit.ts';

/** RFC 6120 13.12 asks for 10000 at least; whoever takes nearly nothing is not taken at its word. */
const MIN_PEER_BYTES = 1000;
const MAX_DEPTH = 100;
const MAX_ATTRIBUTES = 100;

/** What may come over a stream: less until a domain has been proved. */
export function scannerLimits(settings: Config['s2s'], isAuthenticated: boolean): ScannerLimits {
  const maxBytes = isAuthenticated ? settings.maxStanzaBytes : settings.maxStanzaBytesUnauthenticated;
  return { maxBytes, maxDepth: MAX_DEPTH, maxAttributes: MAX_ATTRIBUTES };
}

/** How fast it may come; undefined for any speed. @param nowMs monotonic */
export function rateLimit({ bytesPerSecond, burstBytes }: Config['s2s'], nowMs: number): RateLimit | undefined {
  return bytesPerSecond === 0 ? undefined : new RateLimit(bytesPerSecond, burstBytes, nowMs);
}

/** Our `<limits/>` (XEP-0478), a byte string. */
export function limitsElement({ maxStanzaBytes, idleSeconds }: Config['s2s']): string {
  return `<limits xmlns='${NS.STREAM_LIMITS}'><max-bytes>${maxStanzaBytes}</max-bytes><idle-seconds>${idleSeconds}</idle-seconds></limits>`;
}

/** The largest stanza that the peer takes, by the `<limits/>` in an element; undefined where it says nothing of use. */
export function maxBytesIn(frame: Frame): number | undefined {
  const found = frame.children.find(({ name, namespace }) => name === 'limits' && namespace === NS.STREAM_LIMITS);
  if (found === undefined) return undefined;
  const bytes = frame.content.slice(found.start, found.end);
  const limits = parseElement(bytes, Scope.of(NS.SERVER).within(frame.others));
  const maxBytes = Number(limits.child('max-bytes')?.text ?? NaN);
  return maxBytes >= MIN_PEER_BYTES ? maxBytes : undefined;
}
