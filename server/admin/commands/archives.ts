import { createHash } from 'node:crypto';
import * as z from 'zod';

import type { LogEntry } from '../../../storage/message-log.ts';
import type { Removal } from '../../../storage/archive-retention.ts';
import { limitsOf, type EffectiveLimits } from '../../services/archive-sweep.ts';
import { accountAddress } from '../account-address.ts';
import { defineCommand, type CommandContext } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import { addressText } from './users.ts';

const DAY_MS = 24 * 3600 * 1000;
const MAX_DAYS = 36_500;
/** Messages of one export reply, and their bytes: what fits well under the control socket's limit. */
const PAGE_MESSAGES = 200;
const PAGE_BYTES = 512 * 1024;

/** An archive as an operator sees it. */
export interface ArchiveDetails {
  readonly jid: string;
  readonly messages: number;
  /** Bytes of stanzas. */
  readonly bytes: number;
  /** Times of the first and the last message, milliseconds since the epoch; absent where there is none. */
  readonly firstAt?: number;
  readonly lastAt?: number;
  readonly limits: EffectiveLimits;
  readonly removals: readonly Removal[];
}

export const archiveShow = defineCommand({
  name: 'archive show',
  needs: 'store',
  summary: 'show how much the archive of an account holds, its limits and what was removed from it',
  arguments: z.strictObject({ jid: addressText }),
  run: async (context, { jid }): Promise<ArchiveDetails> => {
    const { storage, config } = context;
    const owner = await existingAccount(context, jid);
    const { count, bytes } = await storage.retention.usage(owner);
    const bounds = await storage.archive.bounds(owner);
    return {
      jid: owner,
      messages: count,
      bytes,
      ...(bounds !== undefined && { firstAt: millisecondsOf(bounds.first), lastAt: millisecondsOf(bounds.last) }),
      limits: await limitsOf(owner, config, storage),
      removals: await storage.retention.removals(owner),
    };
  },
  render: ({ jid, messages, bytes, firstAt, lastAt, limits, removals }) =>
    [
      `archive:  ${jid}`,
      `holds:    ${messages} messages, ${bytes} bytes`,
      ...(firstAt === undefined || lastAt === undefined
        ? []
        : [`from:     ${timeText(firstAt)} to ${timeText(lastAt)}`]),
      `limits:   ${limits.maxAgeMs === 0 ? 'any age' : `${limits.maxAgeMs / DAY_MS} days`}, ${limits.maxBytes === 0 ? 'any size' : `${limits.maxBytes} bytes`}`,
      ...removals.map(
        ({ reason, count, from, upTo, at }) =>
          `removed:  ${count} messages of ${timeText(from / 1000)} to ${timeText(upTo / 1000)}, for ${reason}, on ${timeText(at)}`,
      ),
    ].join('\n'),
});

export const archiveLimit = defineCommand({
  name: 'archive limit',
  needs: 'store',
  summary: 'set what the archive of an account may hold; without a limit given, that of its domain holds again',
  arguments: z.strictObject({
    jid: addressText,
    days: z.int().min(0).max(MAX_DAYS).optional(),
    bytes: z.int().min(0).optional(),
  }),
  run: async (context, { jid, days, bytes }): Promise<{ readonly jid: string; readonly limits: EffectiveLimits }> => {
    const owner = await existingAccount(context, jid);
    const maxAgeMs = days === undefined ? undefined : days * DAY_MS;
    await context.storage.retention.setLimits(owner, { maxAgeMs, maxBytes: bytes });
    return { jid: owner, limits: await limitsOf(owner, context.config, context.storage) };
  },
  render: ({ jid, limits }) =>
    `${jid}: ${limits.maxAgeMs === 0 ? 'any age' : `${limits.maxAgeMs / DAY_MS} days`}, ${limits.maxBytes === 0 ? 'any size' : `${limits.maxBytes} bytes`}`,
});

/** What was erased, for whoever asked for it. */
export interface ErasureReceipt {
  readonly jid: string;
  readonly messages: number;
  readonly bytes: number;
  /** Times of the first and the last message erased, milliseconds since the epoch; absent where there was none. */
  readonly firstAt?: number;
  readonly lastAt?: number;
  readonly erasedAt: number;
}

export const archiveErase = defineCommand({
  name: 'archive erase',
  needs: 'store',
  summary: 'erase the archive of an account, or what in it is older than some days; what waits for it stays',
  arguments: z.strictObject({ jid: addressText, olderThanDays: z.int().min(0).max(MAX_DAYS).optional() }),
  run: async (context, { jid, olderThanDays = 0 }): Promise<ErasureReceipt> => {
    const owner = await existingAccount(context, jid);
    const erasedAt = context.now();
    // Without days everything, also what a clock that was set back has dated later than now.
    const before = olderThanDays === 0 ? Number.MAX_SAFE_INTEGER : (erasedAt - olderThanDays * DAY_MS) * 1000;
    const rule = { reason: 'erasure', before, maxBytes: Infinity } as const;
    const removal = await context.storage.retention.trim(owner, rule, erasedAt);
    if (removal === undefined) return { jid: owner, messages: 0, bytes: 0, erasedAt };
    const { count, bytes, from, upTo } = removal;
    const [firstAt, lastAt] = [Math.floor(from / 1000), Math.floor(upTo / 1000)];
    return { jid: owner, messages: count, bytes, firstAt, lastAt, erasedAt };
  },
  render: ({ jid, messages, bytes, firstAt, lastAt, erasedAt }) =>
    [
      `${jid}: ${messages} messages, ${bytes} bytes erased on ${timeText(erasedAt)}`,
      ...(firstAt === undefined || lastAt === undefined ? [] : [`of ${timeText(firstAt)} to ${timeText(lastAt)}`]),
    ].join('\n'),
});

/** One message of an export. */
export interface ExportedMessage {
  /** When it was received or sent, microseconds since the epoch: its place in the archive. */
  readonly position: number;
  readonly peer: string;
  readonly sent: boolean;
  /** Its number in its chat; null for none. */
  readonly sequence: number | null;
  /** The stanza as text. */
  readonly stanza: string;
}

/** A page of an export; `next` is the place to go on from, absent on the last. */
export interface ExportedPage {
  readonly jid: string;
  readonly messages: readonly ExportedMessage[];
  readonly next?: number;
}

export const archiveExport = defineCommand({
  name: 'archive export',
  needs: 'store',
  summary: 'write the archive of an account to standard output, a JSON object a line, the receipt to standard error',
  arguments: z.strictObject({ jid: addressText, after: z.int().min(0).optional() }),
  run: async (context, { jid, after }): Promise<ExportedPage> => {
    const owner = await existingAccount(context, jid);
    const page = await context.storage.archive.page(owner, { after, limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES });
    const next = page.hasMore ? page.entries.at(-1)?.position : undefined;
    return { jid: owner, messages: page.entries.map(exported), ...(next !== undefined && { next }) };
  },
  render: ({ messages }) => messages.map((message) => JSON.stringify(message)).join('\n'),
});

/** What an export held, for whoever keeps it: the digest is over the lines as written. */
export class ExportReceipt {
  #messages = 0;
  readonly #hash = createHash('sha256');

  add(line: string): void {
    this.#messages++;
    this.#hash.update(line);
  }

  /** Ends it. */
  text(jid: string): string {
    return `${jid}: ${this.#messages} messages, sha256 ${this.#hash.digest('hex')}`;
  }
}

function exported({ position, peer, flags, sequence, stanza }: LogEntry): ExportedMessage {
  const text = Buffer.from(stanza, 'latin1').toString('utf8');
  return { position, peer, sent: flags.sent, sequence: sequence ?? null, stanza: text };
}

async function existingAccount({ config, storage }: CommandContext, jid: string): Promise<string> {
  const address = accountAddress(jid, config);
  if ((await storage.accounts.get(address)) === undefined) {
    throw new CommandError('not-found', `there is no account ${address}`);
  }
  return address;
}

function millisecondsOf({ position }: LogEntry): number {
  return Math.floor(position / 1000);
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
