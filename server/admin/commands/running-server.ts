import * as z from 'zod';

import { accountAddress, parseAddress } from '../account-address.ts';
import { defineCommand, runningServer } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import type { ServerInspection, ServerStatus, SessionSummary } from '../operations.ts';
import { addressText } from './users.ts';

const nothing = z.strictObject({});
const MAX_BODY_LENGTH = 100_000;
const MAX_SESSIONS_SHOWN = 2000;
const MIB = 1024 * 1024;

export const status = defineCommand({
  name: 'status',
  needs: 'server',
  summary: 'say how the running server is',
  arguments: nothing,
  run: (context): ServerStatus & { readonly nowMs: number } => ({
    ...runningServer(context).status(),
    nowMs: context.now(),
  }),
  render: ({ version, startedAt, nowMs, domains, listening, sessions, connections, residentBytes, faults }) =>
    [
      `Posthorn ${version}, up ${durationText(nowMs - startedAt)}`,
      `domains:     ${domains.join(', ')}`,
      ...listening.map((line) => `listening:   ${line}`),
      `sessions:    ${sessions}`,
      `connections: ${connections}`,
      `memory:      ${Math.round(residentBytes / MIB)} MiB`,
      ...(faults === 0 ? [] : [`faults:      ${faults} errors that nothing caught; see the log`]),
    ].join('\n'),
});

/** Not typed by anybody: `doctor` asks it. */
export const inspect = defineCommand({
  name: 'inspect',
  needs: 'server',
  summary: 'give what "doctor" compares',
  arguments: nothing,
  run: (context): ServerInspection => runningServer(context).inspect(),
  render: (found) => JSON.stringify(found),
});

export const stop = defineCommand({
  name: 'stop',
  needs: 'server',
  summary: 'end every stream, commit everything and stop the server',
  arguments: nothing,
  run: async (context): Promise<{ readonly outcome: string }> => {
    runningServer(context);
    if (context.requestStop === undefined) throw new CommandError('failed', 'this server cannot be stopped from here');
    await context.requestStop();
    return { outcome: 'stopped' };
  },
  render: () => 'stopped',
});

export const reload = defineCommand({
  name: 'reload',
  needs: 'server',
  summary: 'read certificates again, as SIGHUP does',
  arguments: nothing,
  run: async (context): Promise<{ readonly lines: readonly string[] }> => ({
    lines: await runningServer(context).reload(),
  }),
  render: ({ lines }) => lines.join('\n'),
});

export const pipeline = defineCommand({
  name: 'pipeline',
  needs: 'server',
  summary: 'list what runs for each stanza, in order',
  arguments: nothing,
  run: (context): { readonly lines: readonly string[] } => ({ lines: runningServer(context).pipeline() }),
  render: ({ lines }) => lines.join('\n'),
});

export const sessionList = defineCommand({
  name: 'session list',
  needs: 'server',
  summary: 'list who is logged in',
  arguments: z.strictObject({ jid: addressText.optional() }),
  run: (context, { jid }): { readonly sessions: readonly SessionSummary[]; readonly total: number } => {
    const all = runningServer(context).sessions();
    const bare = jid === undefined ? undefined : accountAddress(jid, context.config);
    const matching = bare === undefined ? all : all.filter((session) => session.jid.startsWith(`${bare}/`));
    // One reply has a bound, as one request does.
    return { sessions: matching.slice(0, MAX_SESSIONS_SHOWN), total: matching.length };
  },
  render: ({ sessions, total }) =>
    [
      ...sessions.map(({ jid, address, transport, since, priority, secure, queuedStanzas }) =>
        [
          jid,
          address,
          `${transport}${secure ? ' with TLS' : ''}`,
          `since ${new Date(since).toISOString()}`,
          priority === undefined ? 'not available' : `priority ${priority}`,
          ...(queuedStanzas === 0 ? [] : [`${queuedStanzas} waiting`]),
        ].join('  '),
      ),
      sessions.length < total ? `${sessions.length} of ${total} sessions` : `${total} sessions`,
    ].join('\n'),
});

export const sessionKick = defineCommand({
  name: 'session kick',
  needs: 'server',
  summary: 'end a session, or all sessions of an account; it may log in again',
  arguments: z.strictObject({ jid: addressText, reason: z.string().max(500).optional() }),
  run: (context, { jid, reason = 'ended by an administrator' }): { readonly ended: number } => {
    const address = jid.includes('/') ? parseAddress(jid).full : accountAddress(jid, context.config);
    const ended = runningServer(context).kick(address, reason);
    if (ended === 0) throw new CommandError('not-found', `there is no session of ${address}`);
    return { ended };
  },
  render: ({ ended }) => `${ended} ${ended === 1 ? 'session' : 'sessions'} ended`,
});

export const send = defineCommand({
  name: 'send',
  needs: 'server',
  summary: 'send a message from the server, or from an account of it',
  arguments: z.strictObject({
    from: addressText.optional(),
    to: addressText,
    body: z.string().min(1).max(MAX_BODY_LENGTH),
  }),
  run: async (context, { from, to, body }): Promise<{ readonly to: string; readonly outcome: string }> => {
    const recipient = to.includes('@') ? parseAddress(to).full : accountAddress(to, context.config);
    const sender = from === undefined ? undefined : accountAddress(from, context.config);
    await runningServer(context).send({ from: sender, to: recipient, body });
    return { to: recipient, outcome: 'sent' };
  },
  render: ({ to }) => `sent to ${to}`,
});

function durationText(durationMs: number): string {
  const minutes = Math.max(0, Math.floor(durationMs / 60_000));
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}
