import { expect } from 'chai';
import { randomBytes } from 'node:crypto';

import type { Eventual } from '../../../server/eventual.ts';
import { FailureThrottle } from '../../../server/sasl/failure-throttle.ts';
import type { StoredCredentials } from '../../../server/sasl/login.ts';
import { NO_SECURITY } from '../../../server/sasl/mechanisms.ts';
import { SaslNegotiation, type SaslStep } from '../../../server/sasl/negotiation.ts';
import type { SaslContext } from '../../../server/sasl/handshakes.ts';
import { PasswordWork } from '../../../server/sasl/password-work.ts';
import { deriveCredentials } from '../../../server/sasl/scram-keys.ts';
import type { Frame } from '../../../stanzas/frame.ts';
import { ScramClient, type ScramClientOptions } from '../../support/scram-client.ts';

const PASSWORD = 'wherefore art thou';
const EXPORTER = Buffer.from('the keying material of this connection');
const END_POINT = Buffer.from('the certificate of capulet.lit');
const SECURITY = { encrypted: true, tlsExporter: EXPORTER, tlsServerEndPoint: END_POINT };
const NAMESPACE = 'urn:ietf:params:xml:ns:xmpp-sasl';

/** A first-level element as the scanner reports it. */
function frame(name: string, content = '', others = '', namespace = NAMESPACE): Frame {
  const absent = { to: undefined, from: undefined, id: undefined, type: undefined, lang: undefined };
  const children = content.startsWith('<') ? [{ name: 'a', namespace: '', start: 0, end: content.length }] : [];
  return { name, namespace, ...absent, others, content, children, rest: undefined, byteLength: content.length + 80 };
}

function auth(mechanism: string, content = ''): Frame {
  return frame('auth', content, ` mechanism='${mechanism}'`);
}

function response(content: string): Frame {
  return frame('response', content);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** The text of the reply, when it is a challenge or success. */
function contentOf(step: SaslStep): string {
  return /^<\w+ xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>([^<]*)</.exec(step.reply)?.[1] ?? '';
}

function outcomeOf(step: SaslStep): string {
  return step.kind === 'failure' ? step.condition : step.kind;
}

describe('SaslNegotiation', () => {
  let accounts: Map<string, StoredCredentials>;
  /** What the throttle held back, in ms, in order. */
  let delays: number[];
  let shared: SaslContext;

  /** Stands still, notes every delay and ends it at once. */
  const recordingClock = {
    monotonic: () => 0,
    schedule: (delayMs: number, task: () => void) => {
      delays.push(delayMs);
      task();
      return () => undefined;
    },
  };

  before(async () => {
    const derive = async (password: string): Promise<StoredCredentials> => ({
      credentials: await deriveCredentials(password, { iterations: 4096, random: randomBytes }),
      disabled: false,
    });
    const juliet = await derive(PASSWORD);
    accounts = new Map([
      ['juliet@capulet.lit', juliet],
      ['tybalt@capulet.lit', { ...juliet, disabled: true }],
      ['nurse@capulet.lit', { credentials: { 'SHA-1': juliet.credentials['SHA-1']! }, disabled: false }],
      ['fianc\u00e9@capulet.lit', await derive('caf\u00e9')],
      ['rosaline@capulet.lit', await derive('fiend')], // as a server that prepares with SASLprep keeps U+FB01 "end"
    ]);
  });

  beforeEach(() => {
    delays = [];
    shared = {
      domain: 'capulet.lit',
      security: SECURITY,
      address: '192.0.2.1',
      accounts: { credentials: (bareJid) => Promise.resolve(accounts.get(bareJid)) },
      throttle: new FailureThrottle(recordingClock, { freeFailures: { pair: 0, address: 0, account: 0 } }),
      work: new PasswordWork(),
      secret: Buffer.alloc(32, 1),
      iterations: 4096,
      random: randomBytes,
      allowPlaintext: false,
    };
  });

  const begin = (changes: Partial<SaslContext> = {}): SaslNegotiation => new SaslNegotiation({ ...shared, ...changes });

  /** A whole SCRAM exchange; the client has verified the server when it succeeds. */
  async function logIn(negotiation: SaslNegotiation, options: ScramClientOptions): Promise<SaslStep[]> {
    const client = new ScramClient(options);
    const first = await negotiation.receive(auth(options.mechanism, client.first()));
    if (first.kind !== 'challenge') return [first];
    const final = await negotiation.receive(response(client.respond(contentOf(first))));
    if (final.kind === 'success') client.verify(contentOf(final));
    return [first, final];
  }

  const plain = (negotiation: SaslNegotiation, message: string): Eventual<SaslStep> =>
    negotiation.receive(auth('PLAIN', base64(message)));

  describe('logs in', () => {
    const advertised = {
      mechanisms: ['SHA-512', 'SHA-256', 'SHA-1']
        .flatMap((hash) => [`SCRAM-${hash}`, `SCRAM-${hash}-PLUS`])
        .concat('PLAIN'),
      bindings: ['tls-server-end-point', 'tls-exporter'],
    };
    for (const hash of ['SHA-1', 'SHA-256', 'SHA-512']) {
      for (const [suffix, channelBinding] of [
        ['', undefined],
        ['-PLUS', { type: 'tls-exporter', data: EXPORTER }],
        ['-PLUS', { type: 'tls-server-end-point', data: END_POINT }],
      ] as const) {
        const mechanism = `SCRAM-${hash}${suffix}`;
        it(`with ${mechanism} ${channelBinding?.type ?? ''}`, async () => {
          const options = { username: 'juliet', password: PASSWORD, mechanism, advertised };
          const steps = await logIn(begin(), channelBinding === undefined ? options : { ...options, channelBinding });
          expect(steps.at(-1)).to.include({ kind: 'success', username: 'juliet', mechanism });
          expect(delays).to.deep.equal([]);
        });
      }
    }

    it('with PLAIN', async () => {
      expect(await plain(begin(), `\0juliet\0${PASSWORD}`)).to.deep.equal({
        kind: 'success',
        reply: `<success xmlns='${NAMESPACE}'/>`,
        username: 'juliet',
        mechanism: 'PLAIN',
      });
    });

    it('with PLAIN for an account that has keys for one hash only', async () => {
      expect(outcomeOf(await plain(begin(), `\0nurse\0${PASSWORD}`))).to.equal('success');
    });

    it('with a name that needs preparation', async () => {
      const [, step] = await logIn(begin(), { username: 'JULIET', password: PASSWORD, mechanism: 'SCRAM-SHA-256' });
      expect(step).to.include({ kind: 'success', username: 'juliet' });
    });

    it('with PLAIN and a password that needs preparation, beside a name beyond ASCII', async () => {
      expect(await plain(begin(), '\0FIANC\u00c9\0cafe\u0301')).to.include({
        kind: 'success',
        username: 'fianc\u00e9',
      });
    });

    it('with PLAIN against keys that a SASLprep server made', async () => {
      expect(outcomeOf(await plain(begin(), '\0rosaline\0\ufb01end'))).to.equal('success');
    });

    it('without an initial response (RFC 6120 6.3.10)', async () => {
      const negotiation = begin();
      const asked = await negotiation.receive(auth('PLAIN'));
      expect(asked).to.deep.equal({ kind: 'challenge', reply: `<challenge xmlns='${NAMESPACE}'/>` });
      expect(outcomeOf(await negotiation.receive(response(base64(`\0juliet\0${PASSWORD}`))))).to.equal('success');
    });

    it('as oneself by authzid (RFC 6120 6.3.8)', async () => {
      const options = { username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-1' };
      const [, step] = await logIn(begin(), { ...options, authzid: 'Juliet@capulet.lit' });
      expect(step?.kind).to.equal('success');
      expect(outcomeOf(await plain(begin(), `juliet@CAPULET.LIT\0juliet\0${PASSWORD}`))).to.equal('success');
    });

    it('in a new handshake that discards the one under way (RFC 6120 6.4.2)', async () => {
      const negotiation = begin();
      const client = new ScramClient({ username: 'romeo', password: 'x', mechanism: 'SCRAM-SHA-1' });
      await negotiation.receive(auth('SCRAM-SHA-1', client.first()));
      const [, step] = await logIn(negotiation, {
        username: 'juliet',
        password: PASSWORD,
        mechanism: 'SCRAM-SHA-256',
      });
      expect(step?.kind).to.equal('success');
    });
  });

  describe('refuses', () => {
    const table: readonly [string, string, string, string][] = [
      ['a wrong password', 'PLAIN', base64('\0juliet\0tis but thy name'), 'not-authorized'],
      ['a password that cannot be prepared', 'PLAIN', base64('\0juliet\0a\u0007'), 'not-authorized'],
      ['an unknown user', 'PLAIN', base64(`\0romeo\0${PASSWORD}`), 'not-authorized'],
      ['a name that cannot be one', 'PLAIN', base64(`\0juliet@capulet.lit\0${PASSWORD}`), 'not-authorized'],
      ['a disabled account, after its password', 'PLAIN', base64(`\0tybalt\0${PASSWORD}`), 'account-disabled'],
      ['a disabled account with a wrong password', 'PLAIN', base64('\0tybalt\0x'), 'not-authorized'],
      ["somebody else's authzid", 'PLAIN', base64(`romeo@capulet.lit\0juliet\0${PASSWORD}`), 'invalid-authzid'],
      ['a full JID as authzid', 'PLAIN', base64(`juliet@capulet.lit/a\0juliet\0${PASSWORD}`), 'invalid-authzid'],
      ['a localpart as authzid', 'PLAIN', base64(`juliet\0juliet\0${PASSWORD}`), 'invalid-authzid'],
      ['an authzid of another domain', 'PLAIN', base64(`juliet@montague.lit\0juliet\0${PASSWORD}`), 'invalid-authzid'],
      [
        "somebody else's authzid in SCRAM",
        'SCRAM-SHA-1',
        base64('n,a=romeo@capulet.lit,n=juliet,r=a'),
        'invalid-authzid',
      ],
      ['PLAIN without a password', 'PLAIN', base64('\0juliet\0'), 'malformed-request'],
      ['PLAIN without a name', 'PLAIN', base64(`\0\0${PASSWORD}`), 'malformed-request'],
      ['PLAIN with two fields', 'PLAIN', base64(`juliet\0${PASSWORD}`), 'malformed-request'],
      ['PLAIN with four fields', 'PLAIN', base64(`\0juliet\0${PASSWORD}\0`), 'malformed-request'],
      ['a password of 1024 bytes', 'PLAIN', base64(`\0juliet\0${'x'.repeat(1024)}`), 'malformed-request'],
      [
        'PLAIN that is not UTF-8',
        'PLAIN',
        Buffer.from('\0juliet\0\xff', 'latin1').toString('base64'),
        'malformed-request',
      ],
      ['an empty initial response where one is needed', 'PLAIN', '=', 'malformed-request'],
      ['an empty SCRAM message', 'SCRAM-SHA-1', '=', 'malformed-request'],
      ['content without end', 'PLAIN', 'A'.repeat(8196), 'malformed-request'],
      ['an element in the content', 'PLAIN', '<a/>', 'malformed-request'],
      ['a mechanism we do not know', 'CRAM-MD5', '', 'invalid-mechanism'],
      // RFC 6120 13.9.1
      ['a character outside the alphabet', 'PLAIN', 'AGp1*GlldAB4', 'incorrect-encoding'],
      ['white space in base 64', 'PLAIN', 'AGp1bGll\ndAB4', 'incorrect-encoding'],
      ['the URL-safe alphabet', 'PLAIN', 'AGp1bG-ldAB4', 'incorrect-encoding'],
      ['a pad in front', 'PLAIN', '=AAA', 'incorrect-encoding'],
      ['a pad in the middle', 'PLAIN', 'BBBB=CCC', 'incorrect-encoding'],
      ['a pad too few', 'PLAIN', 'AA=', 'incorrect-encoding'],
      ['a pad left out', 'PLAIN', 'AGp1bGlldAB4eA', 'incorrect-encoding'],
      ['padding bits that are not zero', 'PLAIN', 'AGp1bGlldAB4eB==', 'incorrect-encoding'],
    ];
    for (const [title, mechanism, content, condition] of table) {
      it(`${title}: ${condition}`, async () => {
        expect(outcomeOf(await begin().receive(auth(mechanism, content)))).to.equal(condition);
      });
    }

    it('a wrong password in SCRAM', async () => {
      const options = { username: 'juliet', password: 'tis but thy name', mechanism: 'SCRAM-SHA-256' };
      const [, step] = await logIn(begin(), options);
      expect(step).to.include({
        kind: 'failure',
        reply: `<failure xmlns='${NAMESPACE}'><not-authorized/></failure>`,
        account: 'juliet@capulet.lit',
        cause: undefined,
      });
    });

    it('a disabled account in SCRAM only after its password', async () => {
      const options = { username: 'tybalt', password: PASSWORD, mechanism: 'SCRAM-SHA-256' };
      expect((await logIn(begin(), options)).map(outcomeOf)).to.deep.equal(['challenge', 'account-disabled']);
      expect((await logIn(begin(), { ...options, password: 'x' })).map(outcomeOf)).to.deep.equal([
        'challenge',
        'not-authorized',
      ]);
    });

    it('a client that was told there is no -PLUS (RFC 5802 6)', async () => {
      const options = { username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-256', flag: 'y' } as const;
      expect((await logIn(begin(), options)).map(outcomeOf)).to.deep.equal(['not-authorized']);
      const unbound = { security: { ...NO_SECURITY, encrypted: true } };
      expect((await logIn(begin(unbound), options)).map(outcomeOf)).to.deep.equal(['challenge', 'success']);
    });

    it('a proof bound to another channel', async () => {
      const steps = await logIn(begin(), {
        username: 'juliet',
        password: PASSWORD,
        mechanism: 'SCRAM-SHA-256-PLUS',
        channelBinding: { type: 'tls-exporter', data: Buffer.from('the keying material between Tybalt and Juliet') },
      });
      expect(steps.map(outcomeOf)).to.deep.equal(['challenge', 'not-authorized']);
    });

    it('everything on a stream in clear (RFC 6120 6.5.4)', async () => {
      const negotiation = begin({ security: NO_SECURITY });
      expect(negotiation.features()).to.equal('');
      expect(outcomeOf(await plain(negotiation, `\0juliet\0${PASSWORD}`))).to.equal('encryption-required');
    });

    it('what comes out of order', async () => {
      expect(outcomeOf(await begin().receive(response('AA==')))).to.equal('malformed-request');
      expect(outcomeOf(await begin().receive(frame('challenge')))).to.equal('malformed-request');
      expect(outcomeOf(await begin().receive(frame('auth', '', " mechanism='PLAIN'", 'jabber:client')))).to.equal(
        'malformed-request',
      );
      expect(outcomeOf(await begin().receive(frame('auth')))).to.equal('invalid-mechanism');
    });

    it('a handshake that was aborted (RFC 6120 6.4.4)', async () => {
      const negotiation = begin();
      const client = new ScramClient({ username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-1' });
      const challenge = await negotiation.receive(auth('SCRAM-SHA-1', client.first()));
      const aborted = await negotiation.receive(frame('abort'));
      expect(aborted.reply).to.equal(`<failure xmlns='${NAMESPACE}'><aborted/></failure>`);
      const late = await negotiation.receive(response(client.respond(contentOf(challenge))));
      expect(outcomeOf(late)).to.equal('malformed-request');
    });

    it('a client-final-message a second time', async () => {
      const negotiation = begin();
      const client = new ScramClient({ username: 'juliet', password: 'x', mechanism: 'SCRAM-SHA-1' });
      const challenge = await negotiation.receive(auth('SCRAM-SHA-1', client.first()));
      const final = client.respond(contentOf(challenge));
      expect(outcomeOf(await negotiation.receive(response(final)))).to.equal('not-authorized');
      expect(outcomeOf(await negotiation.receive(response(final)))).to.equal('malformed-request');
    });
  });

  describe('an unknown user looks like a wrong password (RFC 6120 6.5.10)', () => {
    const challengeTo = async (username: string, mechanism: string, changes: Partial<SaslContext> = {}) => {
      const client = new ScramClient({ username, password: 'x', mechanism, nonce: 'client' });
      const step = await begin({ random: (length) => Buffer.alloc(length, 5), ...changes }).receive(
        auth(mechanism, client.first()),
      );
      expect(step.kind).to.equal('challenge');
      return Buffer.from(contentOf(step), 'base64').toString();
    };

    it('the same salt every time, for every spelling of the name', async () => {
      const first = await challengeTo('romeo', 'SCRAM-SHA-256');
      expect(await challengeTo('romeo', 'SCRAM-SHA-256')).to.equal(first);
      const saltOf = (challenge: string): string => challenge.split(',')[1]!;
      expect(saltOf(await challengeTo('ROMEO', 'SCRAM-SHA-256'))).to.equal(saltOf(first));
      expect(saltOf(await challengeTo('benvolio', 'SCRAM-SHA-256'))).not.to.equal(saltOf(first));
      expect(saltOf(await challengeTo('romeo', 'SCRAM-SHA-1'))).not.to.equal(saltOf(first));
      const elsewhere = { secret: Buffer.alloc(32, 2) };
      expect(saltOf(await challengeTo('romeo', 'SCRAM-SHA-256', elsewhere))).not.to.equal(saltOf(first));
    });

    it('the same form of challenge as for a known one', async () => {
      const shape = (challenge: string): string => challenge.replace(/s=[^,]{24}(?=,)/, 's=');
      for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
        expect(shape(await challengeTo('romeo', mechanism))).to.equal(shape(await challengeTo('juliet', mechanism)));
      }
    });

    it('the same steps, replies and delays as for a wrong password', async () => {
      const run = async (username: string): Promise<{ replies: string[]; delays: number[] }> => {
        delays = [];
        const [challenge, failure] = await logIn(begin({ address: username }), {
          username,
          password: 'x',
          mechanism: 'SCRAM-SHA-512',
        });
        const refused = await plain(begin({ address: `${username} by PLAIN` }), `\0${username}\0x`);
        return { replies: [challenge!.kind, failure!.reply, refused.reply], delays };
      };
      const known = await run('juliet');
      expect(known.delays).to.have.length(2);
      for (const username of ['romeo', 'no one', 'nurse']) expect(await run(username)).to.deep.equal(known);
    });

    it('does the same password work', async () => {
      let derivations = 0;
      class CountingWork extends PasswordWork {
        override derive(...parameters: Parameters<PasswordWork['derive']>): Promise<Buffer> {
          derivations += 1;
          return super.derive(...parameters);
        }
      }
      for (const username of ['juliet', 'romeo', 'no one']) {
        derivations = 0;
        await plain(begin({ work: new CountingWork() }), `\0${username}\0x`);
        expect(derivations, username).to.equal(1);
      }
    });
  });

  describe('limits', () => {
    it('ends the stream with the failure of the last retry (RFC 6120 6.4.5)', async () => {
      const negotiation = begin({ retries: 2 });
      const fatal: boolean[] = [];
      for (let i = 0; i < 3; i += 1) {
        const step = await plain(negotiation, '\0juliet\0x');
        fatal.push(step.kind === 'failure' && step.fatal);
      }
      expect(fatal).to.deep.equal([false, false, true]);
    });

    for (const [title, element] of [
      ['handshakes begun and never ended', () => auth('SCRAM-SHA-1', base64('n,,n=juliet,r=a'))],
      ['aborts', () => frame('abort')],
      ['responses to nothing', () => response('AA==')],
    ] as const) {
      it(`ends the stream over ${title}`, async () => {
        const negotiation = begin();
        let last: SaslStep | undefined;
        for (let i = 0; i < 5; i += 1) last = await negotiation.receive(element());
        expect(last).to.include({ kind: 'failure', fatal: true });
      });
    }

    it('says temporary-auth-failure when too many passwords are being checked', async () => {
      const work = new PasswordWork({ maxRunning: 1, maxWaiting: 0 });
      const occupied = work.derive('x', Buffer.from('salt'), 4096, 64, 'sha512');
      expect(outcomeOf(await plain(begin({ work }), `\0juliet\0${PASSWORD}`))).to.equal('temporary-auth-failure');
      await occupied;
      expect(outcomeOf(await plain(begin({ work }), `\0juliet\0${PASSWORD}`))).to.equal('success');
      expect(delays).to.deep.equal([]); // it was no failure of Juliet's
    });

    it('says temporary-auth-failure when the turn is too far away, without judging', async () => {
      const free = { pair: 0, address: 0, account: 0 };
      const throttle = new FailureThrottle(recordingClock, { freeFailures: free, maxWaitMs: 0 });
      expect(outcomeOf(await plain(begin({ throttle }), '\0juliet\0x'))).to.equal('not-authorized');
      expect(outcomeOf(await plain(begin({ throttle }), `\0juliet\0${PASSWORD}`))).to.equal('temporary-auth-failure');
    });

    it('forgets the mistyped passwords of an address when the right one comes', async () => {
      const free = { pair: 1, address: 99, account: 99 };
      const throttle = new FailureThrottle(recordingClock, { freeFailures: free });
      for (const password of ['x', PASSWORD, 'y']) await plain(begin({ throttle }), `\0juliet\0${password}`);
      expect(delays).to.deep.equal([]);
      await plain(begin({ throttle }), '\0juliet\0z');
      expect(delays).to.have.length(1);
    });

    it('says temporary-auth-failure when the accounts cannot be read, and tells the caller why', async () => {
      const broken = new Error('disk on fire');
      const step = await plain(begin({ accounts: { credentials: () => Promise.reject(broken) } }), '\0juliet\0x');
      expect(step).to.include({ kind: 'failure', condition: 'temporary-auth-failure', cause: broken });
      expect(step.reply).not.to.contain('disk');
    });

    it('takes one element at a time', async () => {
      const negotiation = begin();
      const step = plain(negotiation, `\0juliet\0${PASSWORD}`);
      expect(() => negotiation.receive(frame('abort'))).to.throw('still under way');
      expect((await step).kind).to.equal('success');
    });
  });
});
