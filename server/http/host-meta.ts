import { domainToASCII } from 'node:url';

import type { Config } from '../../config/options.ts';

const WEBSOCKET_RELATION = 'urn:xmpp:alt-connections:websocket';

/** XEP-0156: where the WebSocket of a domain is. */
export class HostMeta {
  readonly #http: Config['http'];
  readonly #domains: ReadonlySet<string>;

  constructor({ http, domains }: Pick<Config, 'http' | 'domains'>) {
    this.#http = http;
    this.#domains = new Set(domains.map(asciiName));
  }

  /**
   * The URL of the WebSocket.
   * @param host the Host header, anything a stranger likes
   * @param port where we listen
   * @returns undefined for a host that is not one of our domains, unless there is one URL for all
   */
  webSocketUrl(host: string, port: number): string | undefined {
    const { publicUrl, websocketPath } = this.#http;
    if (publicUrl !== '') return `${publicUrl.replace(/\/+$/, '').replace(/^http/, 'ws')}${websocketPath}`;
    const domain = asciiName(host.replace(/:\d*$/, ''));
    // Only a name of ours is repeated: an answer that a cache keeps must not send others to the name of a stranger.
    return this.#domains.has(domain) ? `wss://${domain}:${port}${websocketPath}` : undefined;
  }
}

/** Extensible Resource Descriptor (RFC 6415 3.1). */
export function toXrd(webSocketUrl: string): string {
  const href = webSocketUrl.replaceAll('&', '&amp;').replaceAll("'", '&apos;');
  return (
    `<?xml version='1.0' encoding='UTF-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n` +
    `  <Link rel='${WEBSOCKET_RELATION}' href='${href}'/>\n</XRD>\n`
  );
}

/** The same as JSON Resource Descriptor (RFC 6415 A). */
export function toJrd(webSocketUrl: string): string {
  return JSON.stringify({ links: [{ rel: WEBSOCKET_RELATION, href: webSocketUrl }] });
}

function asciiName(host: string): string {
  return host.startsWith('[') ? host.toLowerCase() : domainToASCII(host);
}
