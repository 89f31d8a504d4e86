/*
 * What a login costs the server's loop: `npx tsx bench/micro/scram.ts`. The client's messages are recorded once and
 * replayed, which a constant nonce allows, so that only the server's work is timed. PLAIN is PBKDF2 in the thread pool.
 */
import { randomBytes } from 'node:crypto';

import { systemClock } from '../../server/clock.ts';
import { FailureThrottle } from '../../server/sasl/failure-throttle.ts';
import { NO_SECURITY } from '../../server/sasl/mechanisms.ts';
import type { SaslContext } from '../../server/sasl/handshakes.ts';
import { SaslNegotiation, type SaslStep } from '../../server/sasl/negotiation.ts';
import { PasswordWork } from '../../server/sasl/password-work.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { ScramClient } from '../../test/support/scram-client.ts';

const ROUNDS = 7;
const LOGINS = 2000;
const PASSWORD = 'wherefore art thou';
const END_POINT = randomBytes(32);

const stored = { credentials: await deriveCredentials(PASSWORD, { random: randomBytes }), disabled: false };
const context: SaslContext = {
  domain: 'capulet.lit',
  security: { ...NO_SECURITY, encrypted: true, tlsServerEndPoint: END_POINT },
  address: '192.0.2.1',
  accounts: { credentials: (bareJid) => Promise.resolve(bareJid === 'juliet@capulet.lit' ? stored : undefined) },
  throttle: new FailureThrottle(systemClock),
  work: new PasswordWork(),
  secret: randomBytes(32),
  iterations: 10_000,
  random: (length) => Buffer.alloc(length, 5),
  allowPlaintext: false,
};

function frame(name: string, content: string, others = ''): Frame {
  const absent = { to: undefined, from: undefined, id: undefined, type: undefined, lang: undefined };
  return {
    name,
    namespace: NS.SASL,
    ...absent,
    others,
    content,
    children: [],
    rest: undefined,
    byteLength: content.length + 80,
  };
}

async function run(frames: readonly Frame[]): Promise<SaslStep | undefined> {
  const negotiation = new SaslNegotiation(context);
  negotiation.features();
  let step: SaslStep | undefined;
  for (const each of frames) step = await negotiation.receive(each);
  return step;
}

/** Microseconds per login: the median of several rounds. */
async function measure(frames: readonly Frame[], logins: number): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    for (let login = 0; login < logins; login += 1) await run(frames);
    rounds.push(((performance.now() - start) * 1000) / logins);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'SCRAM-SHA-256-PLUS']) {
  const options = { username: 'juliet', password: PASSWORD, mechanism };
  const client = new ScramClient(
    mechanism.endsWith('-PLUS')
      ? { ...options, channelBinding: { type: 'tls-server-end-point', data: END_POINT } }
      : options,
  );
  const auth = frame('auth', client.first(), ` mechanism='${mechanism}'`);
  const challenge = await run([auth]);
  const [, content = ''] = />([^<]*)</.exec(challenge?.reply ?? '') ?? [];
  const frames = [auth, frame('response', client.respond(content))];
  if ((await run(frames))?.kind !== 'success') throw new Error(`${mechanism} does not log in`);
  console.log(`${mechanism.padEnd(20)} ${(await measure(frames, LOGINS)).toFixed(1).padStart(8)} us per login`);
}

const plain = frame('auth', Buffer.from(`\0juliet\0${PASSWORD}`).toString('base64'), " mechanism='PLAIN'");
if ((await run([plain]))?.kind !== 'success') throw new Error('PLAIN does not log in');
console.log(`${'PLAIN'.padEnd(20)} ${(await measure([plain], 10)).toFixed(1).padStart(8)} us per login, off the loop`);
