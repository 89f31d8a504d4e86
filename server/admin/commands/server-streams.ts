import * as z from 'zod';

import { tryParseJid } from '../../../stanzas/jid.ts';
import { defineCommand, runningServer } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import type { ServerStreams } from '../operations.ts';

const MAX_SHOWN = 2000;

/** A domain, prepared as RFC 7622 3.2 asks. */
const domainText = z
  .string()
  .max(1023)
  .transform((text, context) => {
    const jid = tryParseJid(text);
    if (jid?.local === '' && jid.resource === '') return jid.domain;
    context.addIssue({ code: 'custom', message: 'must be a domain such as montague.example' });
    return z.NEVER;
  });

export const s2sList = defineCommand({
  name: 's2s list',
  needs: 'server',
  summary: 'list streams to and from other servers, and what waits for one',
  arguments: z.strictObject({ domain: domainText.optional() }),
  run: (context, { domain }): ServerStreams => {
    const { streams, waiting } = runningServer(context).serverStreams();
    return {
      streams: streams.filter(({ remote }) => domain === undefined || remote.includes(domain)).slice(0, MAX_SHOWN),
      waiting: waiting.filter(({ remote }) => domain === undefined || remote === domain).slice(0, MAX_SHOWN),
    };
  },
  render: ({ streams, waiting }) =>
    [
      ...streams.map((stream) =>
        [
          stream.direction === 'incoming' ? 'from' : 'to  ',
          stream.remote.join(', ') || '(nothing proved yet)',
          ...(stream.local.length === 0 ? [] : [`for ${stream.local.join(', ')}`]),
          stream.address,
          `since ${new Date(stream.since).toISOString()}`,
          stream.secure ? 'TLS' : 'not encrypted',
          ...(stream.bidirectional ? ['both ways'] : []),
          ...(stream.managed ? ['acknowledges'] : []),
          ...(stream.unconfirmedStanzas === 0 ? [] : [`${stream.unconfirmedStanzas} unconfirmed`]),
          `idle ${stream.idleSeconds} s`,
        ].join('  '),
      ),
      ...waiting.map(({ local, remote, stanzas, connecting, reason }) =>
        [
          `waiting  ${local} to ${remote}`,
          `${stanzas} ${stanzas === 1 ? 'stanza' : 'stanzas'}`,
          ...(connecting ? ['connecting'] : []),
          ...(reason === undefined ? [] : [reason]),
        ].join('  '),
      ),
      `${streams.length} ${streams.length === 1 ? 'stream' : 'streams'}`,
    ].join('\n'),
});

export const s2sConnect = defineCommand({
  name: 's2s connect',
  needs: 'server',
  summary: 'open a stream to another server, and say why where that fails',
  arguments: z.strictObject({ domain: domainText, from: domainText.optional() }),
  run: async (context, { domain, from }): Promise<{ readonly domain: string }> => {
    try {
      await runningServer(context).connectServer(domain, from);
    } catch (error) {
      if (error instanceof CommandError) throw error;
      throw new CommandError('failed', error instanceof Error ? error.message : String(error));
    }
    return { domain };
  },
  render: ({ domain }) => `a stream to ${domain} is open`,
});

export const s2sClose = defineCommand({
  name: 's2s close',
  needs: 'server',
  summary: 'close the streams to and from another server; new ones are opened when they are needed',
  arguments: z.strictObject({ domain: domainText }),
  run: (context, { domain }): { readonly closed: number } => {
    const closed = runningServer(context).closeServerStreams(domain);
    if (closed === 0) throw new CommandError('not-found', `there is no stream of ${domain}`);
    return { closed };
  },
  render: ({ closed }) => `${closed} ${closed === 1 ? 'stream' : 'streams'} closed`,
});
