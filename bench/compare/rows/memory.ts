import type { Security } from '../../load/client-connection.ts';
import { ARRIVALS_AT_ONCE, endpointOf, settle, untilIdle } from '../measurement.ts';
import { residentBytes } from '../process-usage.ts';
import { againstBoth, HISTORY_OFF, type Goal, type Row } from '../row.ts';

const PLAINTEXT_LIMIT_KB = 10;

/** Memory of people who are online and silent. */
export function memoryRows(nodeMajor: number, otherMajor?: number): readonly Row[] {
  return [
    memoryRow('idle-plaintext', 'plaintext', 'plaintext', (key) => [
      { kind: 'limit', figure: key, atMost: PLAINTEXT_LIMIT_KB },
    ]),
    memoryRow('idle-tls', `TLS 1.3 (${nodeText(nodeMajor)})`, 'direct-tls', (key) => [
      { kind: 'limit', figure: key, atMost: tlsLimitKb(nodeMajor) },
      ...(otherMajor === undefined
        ? []
        : [{ kind: 'limit', figure: key, atMost: tlsLimitKb(otherMajor), variant: nodeText(otherMajor) } as const]),
      ...againstBoth(key, 1),
    ]),
  ];
}

/** What a report calls a Node.js. */
export function nodeText(major: number): string {
  return `Node.js ${major}`;
}

/** Node.js 22 and later link a larger OpenSSL state to each connection. */
function tlsLimitKb(nodeMajor: number): number {
  return nodeMajor < 22 ? 40 : 55;
}

function memoryRow(id: string, how: string, security: Security, goals: (key: string) => readonly Goal[]): Row {
  return {
    id,
    title: `resident memory of an idle connection, ${how}`,
    note: 'bound, roster asked, presence sent; growth of the resident set over a fresh server, settled, nothing forced',
    setting: HISTORY_OFF,
    isFresh: true,
    rounds: ({ memoryRounds }) => memoryRounds,
    users: ({ idle }) => Math.max(...idle),
    figures: ({ idle }) =>
      idle.map((count) => ({ key: keyOf(count), label: `kB each at ${count}`, better: 'less' as const })),
    goals: ({ idle }) => goals(keyOf(idle.at(-1) ?? 0)),
    measure: async ({ server, load, scale }) => {
      await settle(scale);
      const emptyBytes = residentBytes(server.pid);
      const values: Record<string, number> = {};
      let connected = 0;
      for (const count of scale.idle) {
        const endpoint = endpointOf(server, security);
        const some = { from: connected, count: count - connected, atOnce: ARRIVALS_AT_ONCE };
        await load.run('open', { endpoint, ...some, arrives: true });
        connected = count;
        await untilIdle(server);
        await settle(scale);
        values[keyOf(count)] = (residentBytes(server.pid) - emptyBytes) / 1000 / count;
      }
      await load.run('reset', {});
      return values;
    },
  };
}

function keyOf(count: number): string {
  return `kBAt${count}`;
}
