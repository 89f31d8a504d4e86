import { expect } from 'chai';
import { randomBytes } from 'node:crypto';

import { ExtensibleNegotiation, type ExtensibleStep } from '../../../server/sasl/extensible-negotiation.ts';
import { FailureThrottle } from '../../../server/sasl/failure-throttle.ts';
import { Handshakes, type SaslContext } from '../../../server/sasl/handshakes.ts';
import { NO_SECURITY } from '../../../server/sasl/mechanisms.ts';
import { SaslNegotiation } from '../../../server/sasl/negotiation.ts';
import { PasswordWork } from '../../../server/sasl/password-work.ts';
import { deriveCredentials } from '../../../server/sasl/scram-keys.ts';
import { Tokens, type UserAgent } from '../../../server/sasl/tokens.ts';
import { scanDocument } from '../../../stanzas/scanner.ts';
import { StreamError } from '../../../stanzas/stream-error.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import type { Credentials } from '../../../storage/accounts.ts';
import { storageOver, type Storage } from '../../../storage/storage.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { tokenMessages } from '../../support/token-client.ts';

const PASSWORD = 'wherefore art thou';
const EXPORTER = Buffer.from('the keying material of this connection');
const END_POINT = Buffer.from('the certificate of capulet.lit');
const SECURITY = { encrypted: true, tlsExporter: EXPORTER, tlsServerEndPoint: END_POINT };
const LIMITS = { maxBytes: 65_536, maxDepth: 64, maxAttributes: 64 };
const DAY_MS = 86_400_000;
const PHONE = 'd4565fa7-4d72-4749-b3d3-740edbf87770';
const JULIET = 'juliet@capulet.lit';

const frame = (xml: string) => scanDocument(Buffer.from(xml), LIMITS);
const agent = (id = PHONE) =>
  `<user-agent id='${id}'><software>Verona</software><device>Juliet\u2019s phone</device></user-agent>`;

function authenticate(mechanism: string, initial: string | undefined, more = agent()) {
  const response = initial === undefined ? '' : `<initial-response>${initial}</initial-response>`;
  return frame(`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='${mechanism}'>${response}${more}</authenticate>`);
}

const response = (content: string) => frame(`<response xmlns='urn:xmpp:sasl:2'>${content}</response>`);
const outcomeOf = (step: ExtensibleStep): string => (step.kind === 'failure' ? step.condition : step.kind);
const challengeOf = (step: ExtensibleStep): string =>
  step.kind === 'challenge' ? (/>([^<]*)</.exec(step.reply)?.[1] ?? '') : `a ${step.kind}`;
const plain = (password = PASSWORD) => Buffer.from(`\0juliet\0${password}`).toString('base64');

describe('ExtensibleNegotiation (XEP-0388)', () => {
  let credentials: Required<Credentials>;
  let storage: Storage;
  let clock: ManualClock;
  let tokens: Tokens;
  let context: SaslContext;

  before(async () => {
    credentials = await deriveCredentials(PASSWORD, { iterations: 4096, random: randomBytes });
  });

  beforeEach(async () => {
    storage = storageOver(new MemoryStore());
    for (const jid of [JULIET, 'nurse@capulet.lit']) {
      await storage.accounts.create(jid, { createdAt: 0, disabled: false, credentials });
    }
    clock = new ManualClock();
    tokens = new Tokens({
      store: storage.clientTokens,
      secret: Buffer.alloc(32, 7),
      now: () => 1_600_000_000_000 + clock.monotonic(),
      random: randomBytes,
      lifetimeMs: 21 * DAY_MS,
      rotationMs: DAY_MS,
      maxClients: 5,
    });
    context = {
      domain: 'capulet.lit',
      address: '192.0.2.1',
      security: SECURITY,
      accounts: { credentials: (bare) => storage.accounts.get(bare) },
      // Fails at once: how failures are held back is shown elsewhere.
      throttle: new FailureThrottle(clock, { maxDelayMs: 0 }),
      work: new PasswordWork(),
      secret: Buffer.alloc(32),
      iterations: 4096,
      allowPlaintext: false,
      random: randomBytes,
      tokens,
    };
  });

  const begin = (changes: Partial<SaslContext> = {}, claimed?: string): ExtensibleNegotiation =>
    new ExtensibleNegotiation(new Handshakes({ ...context, ...changes }), claimed);
  const holder = (id = PHONE, bareJid = JULIET, keys: Credentials = credentials) => {
    const of: UserAgent = { id, software: 'Verona', device: 'phone' };
    return { bareJid, agent: of, credentials: keys };
  };

  it('offers mechanisms, what goes with them, and what a token may be used with', () => {
    expect(begin().features(`<bind xmlns='urn:xmpp:bind:0'/>`)).to.equal(
      `<authentication xmlns='urn:xmpp:sasl:2'>` +
        '<mechanism>SCRAM-SHA-512-PLUS</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism>' +
        '<mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-512</mechanism>' +
        '<mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>' +
        `<inline><bind xmlns='urn:xmpp:bind:0'/><fast xmlns='urn:xmpp:fast:0'>` +
        '<mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism>' +
        '<mechanism>HT-SHA-256-NONE</mechanism></fast></inline></authentication>',
    );
  });

  it('offers no mechanism that binds to a channel where there is none', () => {
    const features = begin({ security: { ...NO_SECURITY, encrypted: true } }).features('');
    expect(features).not.to.contain('PLUS');
    expect(features).to.contain(`<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast>`);
  });

  it('plays challenge and response with SCRAM-SHA-1-PLUS, the data beside success', async () => {
    const client = new ScramClient({
      username: 'juliet',
      password: PASSWORD,
      mechanism: 'SCRAM-SHA-1-PLUS',
      channelBinding: { type: 'tls-exporter', data: EXPORTER },
    });
    const negotiation = begin();
    const challenge = await negotiation.receive(authenticate('SCRAM-SHA-1-PLUS', client.first()));
    expect(negotiation.isUnderWay).to.equal(true);
    const step = await negotiation.receive(response(client.respond(challengeOf(challenge))));
    if (step.kind !== 'success') throw new Error(outcomeOf(step));
    expect(step.login.bareJid).to.equal(JULIET);
    client.verify(/^<additional-data>([^<]+)<\/additional-data>$/.exec(step.additional)?.[1] ?? '');
    expect(step.request.agent).to.deep.equal({ id: PHONE, software: 'Verona', device: 'Juliet\u2019s phone' });
    expect(negotiation.isUnderWay).to.equal(false);
  });

  it('asks for the initial response that a client left out, and takes data with white space in it', async () => {
    const negotiation = begin();
    const asked = await negotiation.receive(authenticate('PLAIN', undefined));
    expect(asked).to.deep.equal({ kind: 'challenge', reply: `<challenge xmlns='urn:xmpp:sasl:2'></challenge>` });
    expect(outcomeOf(await negotiation.receive(response(`\n  ${plain()}\n`)))).to.equal('success');
  });

  it('sends no additional data where the mechanism has none', async () => {
    const step = await begin().receive(authenticate('PLAIN', plain()));
    expect(step).to.include({ kind: 'success', additional: '', token: undefined });
  });

  it('says why it failed with a condition of RFC 6120 in its own namespace', async () => {
    const step = await begin().receive(authenticate('PLAIN', plain('art thou not Romeo')));
    expect(step)
      .to.include({ kind: 'failure', condition: 'not-authorized', account: JULIET })
      .and.have.property(
        'reply',
        `<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>`,
      );
  });

  for (const [what, sent, condition] of [
    ['a mechanism that is not offered', authenticate('BLURDYBLOOP', 'AAAA'), 'invalid-mechanism'],
    ['no mechanism', frame(`<authenticate xmlns='urn:xmpp:sasl:2'/>`), 'invalid-mechanism'],
    ['a token mechanism without a token', authenticate('HT-SHA-256-NONE', 'AAAA'), 'invalid-mechanism'],
    ['what is no base 64', authenticate('PLAIN', '!!!!'), 'incorrect-encoding'],
    ['a response to nothing', response('AAAA'), 'malformed-request'],
    ['a task that nobody set', frame(`<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>`), 'malformed-request'],
    ['an abort of nothing', frame(`<abort xmlns='urn:xmpp:sasl:2'/>`), 'aborted'],
    ['more elements than anybody needs', authenticate('PLAIN', plain(), '<x/>'.repeat(40)), 'malformed-request'],
    ['an id without end', authenticate('PLAIN', plain(), agent('x'.repeat(200))), 'malformed-request'],
  ] as const) {
    it(`refuses ${what} with ${condition}`, async () => {
      expect(outcomeOf(await begin().receive(sent))).to.equal(condition);
    });
  }

  it('lets a client abort, and begin again', async () => {
    const negotiation = begin();
    const client = new ScramClient({ username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-256' });
    await negotiation.receive(authenticate('SCRAM-SHA-256', client.first()));
    const aborted = await negotiation.receive(
      frame(`<abort xmlns='urn:xmpp:sasl:2'><text>I changed my mind</text></abort>`),
    );
    expect(outcomeOf(aborted)).to.equal('aborted');
    expect(outcomeOf(await negotiation.receive(authenticate('PLAIN', plain())))).to.equal('success');
  });

  it('ends the stream of who begins a second authentication during the first', async () => {
    const negotiation = begin();
    const client = new ScramClient({ username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-256' });
    await negotiation.receive(authenticate('SCRAM-SHA-256', client.first()));
    const error: unknown = await negotiation.receive(authenticate('PLAIN', plain())).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StreamError).with.property('condition', 'policy-violation');
  });

  it('counts attempts together with those of RFC 6120 on the same stream', async () => {
    const handshakes = new Handshakes({ ...context, retries: 2 });
    const older = new SaslNegotiation(context, handshakes);
    const newer = new ExtensibleNegotiation(handshakes, undefined);
    const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain('no')}</auth>`;
    expect(await older.receive(frame(auth))).to.include({ kind: 'failure', fatal: false });
    expect(await newer.receive(authenticate('PLAIN', plain('no')))).to.include({ kind: 'failure', fatal: false });
    expect(await older.receive(frame(auth))).to.include({ kind: 'failure', fatal: true });
  });

  it('refuses to act for another than the stream header is from', async () => {
    const initial = Buffer.from(`${JULIET}\0juliet\0${PASSWORD}`).toString('base64');
    expect(outcomeOf(await begin({}, JULIET).receive(authenticate('PLAIN', initial)))).to.equal('success');
    expect(outcomeOf(await begin({}, 'nurse@capulet.lit').receive(authenticate('PLAIN', initial)))).to.equal(
      'invalid-authzid',
    );
  });

  it('makes what a client says of itself fit for a terminal', async () => {
    const step = await begin().receive(
      authenticate(
        'PLAIN',
        plain(),
        `<user-agent id='x'><software>a\u202eb\nc\u009b2J</software><device>${'d'.repeat(500)}</device></user-agent>`,
      ),
    );
    if (step.kind !== 'success') throw new Error(outcomeOf(step));
    expect(step.request.agent).to.deep.equal({ id: 'x', software: 'a b c 2J', device: 'd'.repeat(100) });
  });

  describe('pipelining (XEP-0509)', () => {
    const version = (value: string) => `<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='${value}'/>`;

    it('takes a request that rests on the features there are', async () => {
      const negotiation = begin();
      negotiation.announced('VGhpcyBpcyBvcGFxdWUh');
      const step = await negotiation.receive(authenticate('PLAIN', plain(), version('VGhpcyBpcyBvcGFxdWUh')));
      expect(outcomeOf(step)).to.equal('success');
    });

    it('refuses one that rests on others without prejudice', async () => {
      const negotiation = begin({ retries: 2 });
      negotiation.announced('SSBjaGFuZ2VkIHRoaXMh');
      for (let attempt = 0; attempt < 10; attempt++) {
        const step = await negotiation.receive(authenticate('PLAIN', plain('no'), version('VGhpcyBpcyBvcGFxdWUh')));
        expect(step)
          .to.include({ kind: 'failure', fatal: false })
          .and.have.property(
            'reply',
            `<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>` +
              `<config-version-mismatch xmlns='urn:xmpp:iap:0'/><text>Configuration version mismatch</text></failure>`,
          );
      }
      const step = await negotiation.receive(authenticate('PLAIN', plain(), version('SSBjaGFuZ2VkIHRoaXMh')));
      expect(outcomeOf(step)).to.equal('success');
    });
  });

  describe('tokens (XEP-0484)', () => {
    const MECHANISM = 'HT-SHA-256-EXPR';

    /** Logs in with a token and resolves to the step. */
    const useToken = (
      token: string,
      { mechanism = MECHANISM, data = EXPORTER, fast = '', id = PHONE, username = 'juliet', changes = {} } = {},
    ): Promise<ExtensibleStep> => {
      const { initial } = tokenMessages(username, token, data);
      const more = `${agent(id)}<fast xmlns='urn:xmpp:fast:0'${fast}/>`;
      return begin(changes).receive(authenticate(mechanism, initial, more));
    };
    const give = async (mechanism: typeof MECHANISM | 'HT-SHA-256-NONE' = MECHANISM, of = holder()) =>
      (await tokens.issue(of, mechanism)).token;

    it('lets the client in with its token, in one message, and proves that the server knows it too', async () => {
      const token = await give();
      const step = await useToken(token);
      if (step.kind !== 'success') throw new Error(outcomeOf(step));
      const { expected } = tokenMessages('juliet', token, EXPORTER);
      expect(step.additional).to.equal(`<additional-data>${expected}</additional-data>`);
      expect(step.login.bareJid).to.equal(JULIET);
      expect(step.token?.token.mechanism).to.equal(MECHANISM);
    });

    it('accepts every binding that a connection has', async () => {
      const tlsUnique = Buffer.from('the first Finished');
      for (const [mechanism, data] of [
        ['HT-SHA-256-EXPR', EXPORTER],
        ['HT-SHA-256-ENDP', END_POINT],
        ['HT-SHA-256-UNIQ', tlsUnique],
        ['HT-SHA-256-NONE', Buffer.alloc(0)],
      ] as const) {
        const { token } = await tokens.issue(holder(), mechanism);
        const step = await useToken(token, { mechanism, data, changes: { security: { ...SECURITY, tlsUnique } } });
        expect(outcomeOf(step), mechanism).to.equal('success');
      }
    });

    it('refuses a token without its binding, on another connection, with another mechanism', async () => {
      const token = await give();
      expect(outcomeOf(await useToken(token, { data: Buffer.alloc(0) }))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(token, { data: Buffer.from('another connection') }))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(token, { mechanism: 'HT-SHA-256-ENDP', data: END_POINT }))).to.equal(
        'not-authorized',
      );
      expect(outcomeOf(await useToken(token, { mechanism: 'HT-SHA-256-NONE', data: Buffer.alloc(0) }))).to.equal(
        'not-authorized',
      );
      expect(outcomeOf(await useToken(token))).to.equal('success');
    });

    it('refuses the token of another account and of another device', async () => {
      const [hers, nurses] = [await give(), await give(MECHANISM, holder(PHONE, 'nurse@capulet.lit'))];
      expect(outcomeOf(await useToken(nurses))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(hers, { username: 'nurse' }))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(hers, { username: 'nobody' }))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(hers, { id: 'another device' }))).to.equal('not-authorized');
    });

    it('refuses a token with another password behind it, in the store or not', async () => {
      const token = await give();
      const renewed = await deriveCredentials('a rose', { iterations: 4096, random: randomBytes });
      await storage.accounts.update(JULIET, (account) => ({ ...account, credentials: renewed }));
      expect(outcomeOf(await useToken(token))).to.equal('not-authorized');
      // Given in the same moment in which the password was changed: it was the old one that stood behind it.
      const late = await give();
      expect(outcomeOf(await useToken(late))).to.equal('not-authorized');
      const { token: good } = await tokens.issue(holder(PHONE, JULIET, renewed), MECHANISM);
      expect(outcomeOf(await useToken(good))).to.equal('success');
    });

    it('tells only who has the token that the account is disabled', async () => {
      const token = await give();
      const record = (await storage.clientTokens.list(JULIET))[0]!;
      await storage.accounts.update(JULIET, (account) => ({ ...account, disabled: true }));
      expect(outcomeOf(await useToken(token))).to.equal('not-authorized');
      await storage.clientTokens.change(JULIET, record.client, 5, () => record.record);
      expect(outcomeOf(await useToken(token))).to.equal('account-disabled');
      expect(outcomeOf(await useToken('wrong'))).to.equal('not-authorized');
    });

    it('lets a token expire, and says so only to who has it', async () => {
      const token = await give();
      clock.advance(21 * DAY_MS);
      expect(outcomeOf(await useToken(token))).to.equal('credentials-expired');
      expect(outcomeOf(await useToken(`${token}x`))).to.equal('not-authorized');
    });

    it('keeps the older token good until the newer is used', async () => {
      const older = await give();
      expect(outcomeOf(await useToken(older))).to.equal('success');
      const newer = await give();
      expect(outcomeOf(await useToken(older))).to.equal('success');
      expect(outcomeOf(await useToken(newer))).to.equal('success');
      expect(outcomeOf(await useToken(older))).to.equal('not-authorized');
    });

    it('forgets a token that was given and never used when it gives another', async () => {
      const lost = await give();
      const kept = await give();
      expect(outcomeOf(await useToken(lost))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(kept))).to.equal('success');
    });

    it('refuses a count that is not greater than the last, also at the same moment', async () => {
      const token = await give();
      expect(outcomeOf(await useToken(token, { fast: ` count='123'` }))).to.equal('success');
      expect(outcomeOf(await useToken(token, { fast: ` count='123'` }))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(token, { fast: ` count='7'` }))).to.equal('not-authorized');
      const twice = await Promise.all([1, 2].map(() => useToken(token, { fast: ` count='124'` })));
      expect(twice.map(outcomeOf).sort()).to.deep.equal(['not-authorized', 'success']);
      expect(outcomeOf(await useToken(token, { fast: ` count='many'` }))).to.equal('malformed-request');
    });

    it('forgets a token that its client invalidates, after this one use', async () => {
      const token = await give();
      const step = await useToken(token, { fast: ` invalidate='true'` });
      expect(step).to.include({ kind: 'success', isTokenInvalidated: true });
      expect(outcomeOf(await useToken(token))).to.equal('not-authorized');
      expect(await storage.clientTokens.list(JULIET)).to.deep.equal([]);
    });

    it('changes nothing for who has no token', async () => {
      const token = await give();
      expect(outcomeOf(await useToken('wrong', { fast: ` count='99' invalidate='1'` }))).to.equal('not-authorized');
      expect(outcomeOf(await useToken(token, { fast: ` count='1'` }))).to.equal('success');
    });

    it('needs the id of the device', async () => {
      const { initial } = tokenMessages('juliet', await give(), EXPORTER);
      const step = await begin().receive(authenticate(MECHANISM, initial, `<fast xmlns='urn:xmpp:fast:0'/>`));
      expect(outcomeOf(step)).to.equal('malformed-request');
    });

    for (const [what, message] of [
      ['nothing', ''],
      ['no proof', 'juliet\0'],
      ['no name', `\0${'x'.repeat(32)}`],
      ['no zero octet', 'x'.repeat(40)],
      ['a proof of another length', `juliet\0${'x'.repeat(31)}`],
    ] as const) {
      it(`refuses a message with ${what}`, async () => {
        const more = `${agent()}<fast xmlns='urn:xmpp:fast:0'/>`;
        const step = await begin().receive(authenticate(MECHANISM, Buffer.from(message).toString('base64'), more));
        expect(outcomeOf(step)).to.equal('malformed-request');
      });
    }

    it('renews a token once it is a day old', async () => {
      await give();
      const [{ record } = { record: undefined }] = await storage.clientTokens.list(JULIET);
      expect(tokens.isDue(record!.fresh!)).to.equal(false);
      clock.advance(DAY_MS);
      expect(tokens.isDue(record!.fresh!)).to.equal(true);
    });

    it('keeps neither the token nor the id of the device in the store', async () => {
      const token = await give();
      const stored = JSON.stringify(await storage.clientTokens.list(JULIET));
      expect(stored).not.to.contain(token).and.not.to.contain(PHONE);
    });
  });
});
