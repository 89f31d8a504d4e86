import * as z from 'zod';

import type { Config } from '../../../config/options.ts';
import type { AuditOptions } from '../../../storage/audit/audit.ts';
import { AuditError, type AuditState } from '../../../storage/audit/audits.ts';
import type { Finding } from '../../../storage/audit/finding.ts';
import type { MessageLife } from '../../../storage/audit/message-life.ts';
import { accountScope, chatScope, WHOLE_STORE } from '../../../storage/audit/scope.ts';
import { ARCHIVE_ID_KEY_BYTES, ArchiveIds } from '../../routing/archive-ids.ts';
import type { DeliveryState } from '../operations.ts';
import { accountAddress, parseAddress } from '../account-address.ts';
import { defineCommand } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import { addressText } from './users.ts';

/** What is audited: both sides of a chat, an account, or, with nothing, the whole store. */
export interface AuditedPart {
  readonly account?: string | undefined;
  readonly chat?: readonly [string, string] | undefined;
}

export const auditBegin = defineCommand({
  name: 'audit begin',
  needs: 'store',
  summary: 'begin to prove that the store is whole',
  arguments: z.strictObject({
    account: addressText.optional(),
    chat: z.tuple([addressText, addressText]).readonly().optional(),
  }),
  run: ({ storage, config, now }, part): AuditState => {
    try {
      return storage.audits.begin(auditOptions(part, config, now()));
    } catch (error) {
      if (error instanceof AuditError) throw new CommandError('failed', error.message);
      throw error;
    }
  },
  render: renderAudit,
});

export const auditProgress = defineCommand({
  name: 'audit progress',
  needs: 'store',
  summary: 'say how the audit is getting on',
  arguments: z.strictObject({}),
  run: ({ storage }): AuditState => {
    const { last } = storage.audits;
    if (last === undefined) throw new CommandError('not-found', 'no audit was begun since the server started');
    return last;
  },
  render: renderAudit,
});

/** What the store and, while it runs, the server know of one message. */
interface AuditedMessage extends MessageLife {
  /** For each side that the running server knows something of. */
  readonly deliveries: readonly (DeliveryState & { readonly owner: string })[];
}

export const auditMessage = defineCommand({
  name: 'audit message',
  needs: 'store',
  summary: 'show the life of one message, as far as the store and the running server know it',
  arguments: z.strictObject({ jid: addressText, message: z.string().min(1).max(4096) }),
  run: async ({ storage, config, server }, { jid, message }): Promise<AuditedMessage> => {
    const owner = accountAddress(jid, config);
    const ids = new ArchiveIds(await storage.serverKeys.secret('archive-ids', ARCHIVE_ID_KEY_BYTES));
    const position = /^\d{1,16}$/.test(message) ? Number(message) : ids.positionOf(owner, message);
    const life =
      (Number.isSafeInteger(position) ? await storage.audits.message(owner, position ?? 0) : undefined) ??
      (await storage.audits.message(owner, message));
    if (life === undefined) throw new CommandError('not-found', `the log of ${owner} has no message ${message}`);
    const deliveries = life.sides.flatMap((side) => {
      const delivery = side.delivery === 'not for delivery' ? undefined : server?.messageDelivery(side.owner, side);
      return delivery === undefined ? [] : [{ owner: side.owner, ...delivery }];
    });
    return { ...life, deliveries };
  },
  render: ({ receivedAt, chat, number, from, to, id, bytes, sides, deliveries }) =>
    [
      `received:   ${new Date(receivedAt).toISOString()}, committed with its number before it was acknowledged`,
      `chat:       ${chat}, ${number === undefined ? 'not numbered' : `number ${number}`}`,
      `message:    from ${from ?? 'nobody'} to ${to ?? 'nobody'}, id ${id ?? 'none'}, ${bytes} bytes`,
      ...sides.map(
        (side) =>
          `log:        ${side.owner} at ${side.position}: ${side.isSent ? 'sent' : 'received'}, ` +
          `${side.isArchived ? 'archived' : 'not archived'}, ${side.hasIndexRow ? 'indexed' : 'not indexed'}, ` +
          side.delivery,
      ),
      ...deliveries.flatMap(renderDelivery),
      'not kept:   which resource acknowledged it, and when',
    ].join('\n'),
});

function renderDelivery({ owner, isDelivered, unacknowledgedBy }: AuditedMessage['deliveries'][number]): string[] {
  if (isDelivered) return [`server:     ${owner} has it`];
  if (unacknowledgedBy.length === 0)
    return [`server:     it waits for a resource of ${owner}, or for what was sent before it to be acknowledged`];
  return unacknowledgedBy.map(({ jid, isConnected }) => {
    const state = isConnected ? 'connected' : 'away, and expected back';
    return `server:     sent to ${jid}, which is ${state}, and not acknowledged yet`;
  });
}

/** How a part of the store is audited. Throws CommandError for what is no address of ours. */
export function auditOptions({ account, chat }: AuditedPart, config: Config, nowMs: number): AuditOptions {
  if (chat !== undefined) {
    const [one, other] = chat.map((jid) => parseAddress(jid).full);
    return { nowMs, scope: chatScope(one ?? '', other ?? '') };
  }
  const scope = account === undefined ? WHOLE_STORE : accountScope(accountAddress(account, config));
  return { nowMs, scope };
}

export function renderAudit({ state, entries, accounts, chats, findings, described, problem }: AuditState): string {
  const size = `${entries} entries read, ${accounts} accounts, ${chats} chats`;
  switch (state) {
    case 'running':
      return `${size} so far, ${findings} faults`;
    case 'failed':
      return `the audit failed: ${problem ?? 'unknown'}`;
    case 'done': {
      const more = findings - described.length;
      return [
        ...described.map(renderFinding),
        ...(more > 0 ? [`and ${more} more`] : []),
        `${size}: ${findings === 0 ? 'no fault' : `${findings} faults`}`,
      ].join('\n');
    }
  }
}

/** One fault with its place. */
export function renderFinding({
  fault,
  owner,
  peer,
  position,
  number,
  found,
  expected,
  isRepairable,
}: Finding): string {
  const place = [
    owner === '' ? 'the server' : owner,
    ...(peer === undefined ? [] : [`chat with ${peer}`]),
    ...(number === undefined ? [] : [`number ${number}`]),
    ...(position === undefined ? [] : [`position ${position}`]),
  ].join(', ');
  return `${fault}: ${place}: found ${found}; expected ${expected}${isRepairable ? ' (--repair can mend it)' : ''}`;
}
