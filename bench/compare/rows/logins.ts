import type { Security } from '../../load/client-connection.ts';
import { endpointOf, untilIdle } from '../measurement.ts';
import { processorTime } from '../process-usage.ts';
import { HISTORY_OFF, type Figure, type Goal, type Row } from '../row.ts';

const USERS = 1000;
const AT_ONCE = 32;

const FIGURES: readonly Figure[] = [
  { key: 'processorUs', label: 'CPU us/login', better: 'less' },
  { key: 'perSecond', label: 'logins/s', better: 'more' },
  { key: 'resumedShare', label: 'TLS resumed', better: 'more', isAside: true },
  { key: 'generatorUs', label: 'generator us/login', better: 'less', isAside: true },
];

const PLAINTEXT_GOALS: readonly Goal[] = [
  { kind: 'ratio', figure: 'processorUs', server: 'ejabberd', times: 5 },
  { kind: 'ratio', figure: 'processorUs', server: 'prosody', times: 8 },
];
const TLS_GOALS: readonly Goal[] = [
  { kind: 'ratio', figure: 'processorUs', server: 'ejabberd', times: 1.5 },
  { kind: 'ratio', figure: 'processorUs', server: 'prosody', times: 3 },
];

/** Logging in and out again. */
export const LOGIN_ROWS: readonly Row[] = [
  loginRow('login-plaintext', 'plaintext', 'plaintext', false, PLAINTEXT_GOALS),
  loginRow('login-starttls', 'STARTTLS, TLS 1.3', 'starttls', false, TLS_GOALS),
  loginRow('login-tls', 'direct TLS 1.3', 'direct-tls', false, TLS_GOALS),
  loginRow('login-resumed', 'direct TLS 1.3, resumed where the server allows it', 'direct-tls', true, []),
];

function loginRow(id: string, how: string, security: Security, isResuming: boolean, goals: readonly Goal[]): Row {
  return {
    id,
    title: `login with SCRAM-SHA-1, ${how}`,
    note: 'connection, stream, SASL, resource binding, orderly end; 32 at a time; ECDSA P-256; no channel binding',
    setting: HISTORY_OFF,
    isFresh: false,
    users: () => USERS,
    figures: () => FIGURES,
    goals: () => goals,
    measure: async ({ server, load, scale }) => {
      const options = { endpoint: endpointOf(server, security), users: USERS, atOnce: AT_ONCE, isResuming };
      await load.run('logIn', { ...options, count: Math.ceil(scale.logins / 3) }); // warms up
      await untilIdle(server);
      const before = processorTime(server.pid, 'saturating');
      const { seconds, resumed, processorUs } = await load.run('logIn', { ...options, count: scale.logins });
      await untilIdle(server);
      const after = processorTime(server.pid, 'saturating');
      const spentUs = after.mainUs + after.childrenUs - before.mainUs - before.childrenUs;
      return {
        processorUs: spentUs / scale.logins,
        perSecond: scale.logins / seconds,
        resumedShare: resumed / scale.logins,
        generatorUs: processorUs / scale.logins,
      };
    },
  };
}
