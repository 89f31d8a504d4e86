import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';

/** No client comes back sooner: a crowd needs some time to spread. */
const LEAST_SECONDS = 5;
const MOST_SECONDS = 300;
const RETRY_NAMESPACE = 'urn:posthorn:retry:0';

/**
 * After how many whole seconds a client that is refused is to come back. Half of the time is jitter, so that those who are
 * refused together do not come back together.
 * @param seconds how long it will take at least
 * @param random from 0 to 1
 */
export function comeBackSeconds(seconds: number, random: number): number {
  const least = Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, seconds));
  return Math.ceil(least + least * random);
}

/** The stream error for a client that is welcome, but not now; the parameters are those of `comeBackSeconds`. */
export function comeBackLater(seconds: number, random: number): StreamError {
  const after = comeBackSeconds(seconds, random);
  return new StreamError(
    'resource-constraint',
    `Too many clients at the moment: come back in ${after} seconds`,
    `<retry xmlns='${RETRY_NAMESPACE}' after='${after}'/>`,
  );
}

/** The whole stream of a connection that is refused before anything was read from it (RFC 6120 4.9.1.2), a byte string. */
export function refusedStream(seconds: number, random: number): string {
  const header = `<?xml version='1.0'?><stream:stream xmlns='${NS.CLIENT}' xmlns:stream='${NS.STREAMS}' version='1.0'>`;
  return `${header}${comeBackLater(seconds, random).toBytes()}</stream:stream>`;
}
