import { expect } from 'chai';
import { element } from '../../../stanzas/element.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { Stanza } from '../../../stanzas/stanza.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import {
  ENCRYPTED,
  header,
  nextTurn,
  PASSWORD,
  plainAuth,
  StreamStage,
  type StreamPlayer,
} from '../../support/stream-stage.ts';
import { tokenMessages } from '../../support/token-client.ts';

const PHONE = 'd4565fa7-4d72-4749-b3d3-740edbf87770';
const LAPTOP = 'aa5f1ab4-9d0c-4f2c-9a7e-0d1a2b3c4d5e';
const JULIET = 'juliet@capulet.example';
const DAY_SECONDS = 86_400;
const FEATURES = /<success .*?<\/success><stream:features>.*?<\/stream:features>/;

const bind = (children = '<tag>AwesomeXMPP</tag>') => `<bind xmlns='urn:xmpp:bind:0'>${children}</bind>`;
const userAgent = (id = PHONE) =>
  `<user-agent id='${id}'><software>AwesomeXMPP</software><device>Juliet's phone</device></user-agent>`;

interface Request {
  readonly inline?: string;
  readonly agent?: string;
  readonly username?: string;
}

/** `<authenticate/>` with PLAIN, which needs one message. */
function authenticate({ inline = '', agent = userAgent(), username = 'juliet' }: Request = {}): string {
  const message = Buffer.from(`\0${username}\0${PASSWORD}`).toString('base64');
  return (
    `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>${message}</initial-response>` +
    `${agent}${inline}</authenticate>`
  );
}

/** The same with a token. */
function withToken(token: string, inline = '', fast = '', agent = userAgent()): string {
  return (
    `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>` +
    `<initial-response>${tokenMessages('juliet', token).initial}</initial-response>${agent}${inline}` +
    `<fast xmlns='urn:xmpp:fast:0'${fast}/></authenticate>`
  );
}

const REQUEST_TOKEN = `<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>`;
const identifierIn = (success: string) =>
  /<authorization-identifier>([^<]*)<\/authorization-identifier>/.exec(success)?.[1] ?? '';
const tokenIn = (success: string) =>
  /<token xmlns='urn:xmpp:fast:0' expiry='[^']*' token='([^']*)'\/>/.exec(success)?.[1];

describe('authentication with everything inline (XEP-0388, XEP-0386, XEP-0484)', () => {
  let stage: StreamStage;
  let store: MemoryStore;

  beforeEach(async () => {
    store = new MemoryStore();
    stage = await StreamStage.open({ clock: new ManualClock(Date.UTC(2020, 1, 20)), store });
  });

  /** A client under TLS that has seen the features. */
  async function connected(): Promise<StreamPlayer> {
    const player = stage.connectSecurely();
    await player.open({ from: JULIET });
    return player;
  }

  /** Sends the request and takes success with the features behind it. */
  async function enter(request: string, player?: StreamPlayer): Promise<[StreamPlayer, string]> {
    const client = player ?? (await connected());
    client.send(request);
    return [client, await client.until(FEATURES)];
  }

  const conditionOf = async (player: StreamPlayer): Promise<string> =>
    /<([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-sasl'\/>/.exec(await player.until(/<failure .*?<\/failure>/))?.[1] ??
    '';
  /** Somebody writes to Juliet; what is `hidden` no archive keeps (XEP-0334). */
  async function write(
    who: string,
    numbers: readonly number[],
    hidden: (n: number) => boolean = () => false,
  ): Promise<void> {
    const writer = stage.connectSecurely();
    await writer.enter(who, 'orchard');
    writer.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
    for (const n of numbers) {
      const hint = hidden(n) ? `<no-permanent-store xmlns='urn:xmpp:hints'/>` : '';
      writer.send(`<message to='${JULIET}' type='chat' id='m${n}'><body>word ${n}</body>${hint}</message>`);
    }
    writer.send(`<r xmlns='urn:xmpp:sm:3'/>`);
    await writer.until(new RegExp(`<a xmlns='urn:xmpp:sm:3' h='${numbers.length}'/>`)); // all are stored
    writer.connection.close();
  }
  const wordsIn = (text: string) => text.match(/word \d/g);
  const full = (jid: string) => [...stage.core.table.sessions()].find((session) => session.jid.full === jid);

  describe('the features', () => {
    it('offer bind, stream management and tokens inline (XEP-0386, "Discovering support")', async () => {
      const features = await stage.connectSecurely().open();
      expect(features).to.match(
        /<authentication xmlns='urn:xmpp:sasl:2'>.*<inline><bind xmlns='urn:xmpp:bind:0'><inline>.*<feature var='urn:xmpp:sm:3'\/><\/inline><\/bind><sm xmlns='urn:xmpp:sm:3'\/><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE<\/mechanism><\/fast><\/inline>(?:<upgrade .*)?<\/authentication>/,
      );
      expect(features).to.match(/<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='[^']+'\/>/);
    });

    it('offer nothing of it without TLS, however the operator allows passwords in clear', async () => {
      stage = await StreamStage.open({ environment: { POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true' } });
      const player = stage.connect();
      const features = await player.open();
      expect(features).to.contain('<mechanism>PLAIN</mechanism>').and.not.to.contain('urn:xmpp:sasl:2');
      player.send(authenticate());
      expect(await player.refusal()).to.equal('not-authorized');
    });

    it('offer no tokens and no resumption where there are none', async () => {
      stage = await StreamStage.open({
        environment: { POSTHORN_SASL_TOKEN_DAYS: '0', POSTHORN_C2S_RESUMPTION_SECONDS: '0' },
      });
      const features = await stage.connectSecurely().open();
      expect(features).to.not.contain('urn:xmpp:fast:0').and.not.to.contain('<sm ');
    });

    it('have the same version on every connection, whatever its handshake brought', async () => {
      const versionOf = async (security: { tlsUnique?: Buffer; tlsServerEndPoint?: Buffer }): Promise<string> => {
        const features = await stage.connectSecurely({ security: { ...ENCRYPTED, ...security } }).open();
        return /<config-version [^>]*value='([^']+)'/.exec(features)?.[1] ?? '';
      };
      const tlsServerEndPoint = Buffer.from('the certificate');
      const version = await versionOf({ tlsServerEndPoint });
      expect(await versionOf({ tlsServerEndPoint, tlsUnique: Buffer.from('Finished') })).to.equal(version);
      expect(await versionOf({})).to.not.equal(version);
    });
  });

  it('goes on within the stream: success, features, then a resource is bound as ever (XEP-0388)', async () => {
    const [player, success] = await enter(authenticate());
    expect(success).to.match(
      /^<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@capulet\.example<\/authorization-identifier><\/success><stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'\/>/,
    );
    player.send(
      `<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`,
    );
    expect(await player.until(/<\/iq>/)).to.contain('<jid>juliet@capulet.example/balcony</jid>');
    await player.fence();
  });

  it('lets a client that has logged in send what is larger than a stranger may', async () => {
    const [player] = await enter(authenticate({ inline: bind() }));
    const body = 'O'.repeat(100_000);
    player.send(`<message to='romeo@capulet.example' type='chat'><body>${body}</body></message>`);
    await player.fence();
  });

  it('refuses a second <authenticate/> after success', async () => {
    for (const inline of ['', bind()]) {
      const [player] = await enter(authenticate({ inline }));
      player.send(authenticate());
      expect(await player.refusal()).to.be.oneOf(['not-authorized', 'unsupported-stanza-type']);
    }
  });

  it('refuses whatever is no response during authentication', async () => {
    for (const interruption of [
      `<presence/>`,
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AAAA</auth>`,
      `<enable xmlns='urn:xmpp:sm:3'/>`,
    ]) {
      const player = await connected();
      player.send(`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>`);
      await player.until(/<challenge [^>]*>/);
      player.send(interruption);
      expect(await player.refusal()).to.equal('policy-violation');
    }
  });

  it('refuses to bind, resume or send before authentication', async () => {
    for (const early of [bind(), `<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>`, '<presence/>']) {
      const player = await connected();
      player.send(early);
      if (early.startsWith('<resume')) expect(await player.until(/<failed .*?<\/failed>/)).to.contain('unexpected');
      else expect(await player.refusal()).to.equal('not-authorized');
    }
  });

  it('does nothing of what was asked inline when authentication fails', async () => {
    const player = await connected();
    const wrong = Buffer.from('\0juliet\0wrong').toString('base64');
    player.send(
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>${wrong}</initial-response>` +
        `${userAgent()}${bind()}${REQUEST_TOKEN}</authenticate>`,
    );
    expect(await conditionOf(player)).to.equal('not-authorized');
    expect([...stage.core.table.sessions()]).to.deep.equal([]);
    expect(await stage.storage.clientTokens.list(JULIET)).to.deep.equal([]);
  });

  it('refuses who logs in as somebody else than the header says', async () => {
    const player = await connected();
    player.send(authenticate({ username: 'romeo', inline: bind() }));
    expect(await player.refusal()).to.equal('invalid-from');
    expect([...stage.core.table.sessions()]).to.deep.equal([]);
  });

  describe('Bind 2 (XEP-0386)', () => {
    it('binds the tag and something nobody can guess, and says so in success', async () => {
      const [, success] = await enter(authenticate({ inline: bind() }));
      expect(identifierIn(success)).to.match(/^juliet@capulet\.example\/AwesomeXMPP\/[\w-]{16}$/);
      expect(success).to.contain(`<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/></bound>`);
      expect(success).to.not.contain('xmpp-bind').and.not.to.contain(PHONE);
    });

    it('gives a client the same resource again, and no other the same', async () => {
      const resourceOf = async (request: Request) => identifierIn((await enter(authenticate(request)))[1]);
      const first = await resourceOf({ inline: bind() });
      expect(await resourceOf({ inline: bind() })).to.equal(first);
      expect(await resourceOf({ inline: bind(), agent: userAgent(LAPTOP) })).to.not.equal(first);
      expect(await resourceOf({ inline: bind('<tag>Other</tag>') })).to.match(/\/Other\/[\w-]{16}$/);
      const [one, other] = [
        await resourceOf({ inline: bind(''), agent: '' }),
        await resourceOf({ inline: bind(''), agent: '' }),
      ];
      expect(one)
        .to.match(/\/[\w-]{16,}$/)
        .and.not.equal(other);
    });

    it('does without a tag that can be no part of a resource', async () => {
      for (const tag of ['&#x202e;', 'x'.repeat(2000)]) {
        const [, success] = await enter(authenticate({ inline: bind(`<tag>${tag}</tag>`) }));
        expect(identifierIn(success)).to.match(/^juliet@capulet\.example\/[\w-]{16}$/);
      }
    });

    it('ends the earlier session of the same client, whatever its resource, and no other', async () => {
      const [former] = await enter(authenticate({ inline: bind() }));
      const [laptop] = await enter(authenticate({ inline: bind(), agent: userAgent(LAPTOP) }));
      await enter(authenticate({ inline: bind('<tag>Renamed</tag>') }));
      expect(await former.refusal()).to.equal('conflict');
      await laptop.fence();
      expect([...stage.core.table.sessions()]).to.have.lengthOf(2);
    });

    it('leaves to the archive what the former session did not take', async () => {
      const [phone] = await enter(authenticate({ inline: bind(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`) }));
      phone.send('<presence/>');
      await phone.fence();
      phone.connection.close(new Error('no signal'));
      await write('romeo', [1, 2, 3]);
      const [again] = await enter(authenticate({ inline: bind() }));
      again.send('<presence/>');
      expect(await again.fence()).to.not.contain('word');
      again.send(`<iq id='q' type='set'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      const archive = await again.until(/<iq [^>]*id='q'.*?<\/iq>/);
      expect(archive.match(/word \d/g)).to.deep.equal(['word 1', 'word 2', 'word 3']);
    });

    it('gives the new session what the former did not take and no archive holds, in order', async () => {
      const [phone] = await enter(authenticate({ inline: bind(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`) }));
      phone.send('<presence/>');
      await phone.fence();
      phone.connection.close(new Error('no signal'));
      await write('romeo', [1, 2, 3, 4], (n) => n % 2 === 0);
      const [again] = await enter(authenticate({ inline: bind() }));
      again.send('<presence/>');
      expect(wordsIn(await again.until(/word 4.*?<\/message>/))).to.deep.equal(['word 2', 'word 4']);
      expect(await again.fence()).to.not.contain('word');
      await stage.core.table.saveCursors();
      expect(await stage.storage.log.pendingUsage(JULIET)).to.include({ count: 0 });
    });

    it('clears for every client what one takes from the archive, and nothing else, over a crash as well', async () => {
      await write('romeo', [1, 2, 3, 4], (n) => n % 2 === 0);
      await enter(authenticate({ inline: bind() }));
      await stage.core.table.saveCursors();
      stage = await StreamStage.open({ clock: stage.clock, store, people: [] });
      const laptop = stage.connectSecurely();
      await laptop.enter('juliet', 'balcony');
      laptop.send('<presence/>');
      expect(wordsIn(await laptop.until(/word 4.*?<\/message>/))).to.deep.equal(['word 2', 'word 4']);
      await write('romeo', [5]);
      expect(wordsIn(await laptop.until(/word \d.*?<\/message>/))).to.deep.equal(['word 5']);
    });

    it('clears nothing that another client is about to take', async () => {
      const laptop = stage.connectSecurely();
      await laptop.enter('juliet', 'balcony');
      laptop.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/><presence/>`);
      await laptop.fence();
      laptop.connection.close(new Error('no signal'));
      await write('romeo', [1, 2]);
      const [phone] = await enter(authenticate({ inline: bind() }));
      phone.send('<presence/>');
      await phone.fence();
      expect(stage.core.table.peek(JULIET)?.pending.cursor).to.equal(0);
      // It never comes back: what it held is in the archive that the phone was shown, and is not sent there again.
      stage.core.table.end(full(`${JULIET}/balcony`)!);
      for (let turns = 0; turns < 50 && stage.core.table.peek(JULIET)!.pending.waitingCount > 0; turns++)
        await nextTurn();
      expect(stage.core.table.peek(JULIET)?.pending.waitingCount).to.equal(0);
      expect(await phone.fence()).to.not.contain('word');
    });

    it('sends what comes while the archive is described', async () => {
      let answer: (() => void) | undefined;
      stage.core.bindFeatures.addMetadata(
        () => new Promise((resolve) => (answer = () => resolve({ element: element('metadata', 'urn:example') }))),
      );
      await write('romeo', [1]);
      const player = await connected();
      player.send(authenticate({ inline: bind() }));
      while (answer === undefined) await nextTurn();
      await write('romeo', [2]);
      answer();
      await player.until(FEATURES);
      player.send('<presence/>');
      expect(wordsIn(await player.until(/word \d.*?<\/message>/))).to.deep.equal(['word 2']);
    });

    it('clears nothing where nothing is archived', async () => {
      stage = await StreamStage.open({ environment: { POSTHORN_MESSAGES_HISTORY: 'off' } });
      await write('romeo', [1]);
      const [player] = await enter(authenticate({ inline: bind() }));
      player.send('<presence/>');
      expect(wordsIn(await player.until(/word \d.*?<\/message>/))).to.deep.equal(['word 1']);
    });

    it('switches on what modules offer before anything is delivered, and passes over what nobody knows', async () => {
      const seen: string[] = [];
      stage.core.bindFeatures.add({
        namespace: 'urn:example:candles',
        enable: (session, request) => {
          seen.push(`${session.jid.full.split('/')[0] ?? ''} ${request.name} ${full(session.jid.full) === undefined}`);
          return element('lit', 'urn:example:candles');
        },
      });
      stage.core.bindFeatures.addMetadata((account) => ({
        element: element('metadata', 'urn:example', { of: account.jid.bare }),
      }));
      const [, success] = await enter(
        authenticate({ inline: bind(`<enable xmlns='urn:example:candles'/><enable xmlns='urn:example:nothing'/>`) }),
      );
      expect(seen).to.deep.equal([`${JULIET} enable true`]);
      expect(success).to.contain(
        `<metadata xmlns='urn:example' of='${JULIET}'/><lit xmlns='urn:example:candles'/></bound>`,
      );
      expect(() =>
        stage.core.bindFeatures.add({ namespace: 'urn:example:candles', enable: () => undefined }),
      ).to.throw();
    });

    it('enables carbons (XEP-0280)', async () => {
      const carbons = bind(`<enable xmlns='urn:xmpp:carbons:2'/>`);
      const [phone] = await enter(authenticate({ inline: carbons }));
      const [laptop] = await enter(authenticate({ inline: bind(), agent: userAgent(LAPTOP) }));
      laptop.send(`<message to='romeo@capulet.example' type='chat' id='m1'><body>Good night</body></message>`);
      await laptop.fence();
      expect(await phone.until(/<\/message>/)).to.contain(`<sent xmlns='urn:xmpp:carbons:2'>`);
    });

    it('says what the archive holds (XEP-0313)', async () => {
      const romeo = stage.connectSecurely();
      await romeo.enter('romeo', 'orchard');
      romeo.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
      for (const body of ['But soft', 'What light'])
        romeo.send(`<message to='${JULIET}' type='chat' id='${body}'><body>${body}</body></message>`);
      romeo.send(`<r xmlns='urn:xmpp:sm:3'/>`);
      await romeo.until(/<a xmlns='urn:xmpp:sm:3' h='2'\/>/); // both are stored
      const [, success] = await enter(authenticate({ inline: bind() }));
      expect(success).to.match(
        /<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'><start id='[^']+' timestamp='2020-02-20T[^']+Z'\/><end id='[^']+' timestamp='[^']+'\/><\/metadata><\/bound>/,
      );
    });

    it('lets a session begin inactive (XEP-0352)', async () => {
      const [, success] = await enter(authenticate({ inline: bind(`<inactive xmlns='urn:xmpp:csi:0'/>`) }));
      expect(full(identifierIn(success))?.gate).to.not.equal(undefined);
      const [, other] = await enter(
        authenticate({ inline: bind(`<active xmlns='urn:xmpp:csi:0'/>`), agent: userAgent(LAPTOP) }),
      );
      expect(full(identifierIn(other))).to.have.property('gate', undefined);
    });

    it('lets nothing overtake success, however long the metadata takes', async () => {
      let answer: (() => void) | undefined;
      stage.core.bindFeatures.addMetadata(
        () => new Promise((resolve) => (answer = () => resolve({ element: element('metadata', 'urn:example') }))),
      );
      // A module that has something to say to the session as soon as there is one
      stage.core.pipeline.sessionBound.push((session) => {
        if (session.account.jid.bare !== JULIET) return;
        session.deliver(Stanza.create('message', { to: session.jid }, [element('body', NS.CLIENT, {}, 'But soft')]));
      });
      const player = await connected();
      player.send(authenticate({ inline: bind(`<enable xmlns='urn:xmpp:sm:3'/>`) }));
      while (answer === undefined) await nextTurn();
      expect(player.sent).to.equal('');
      answer();
      const success = await player.until(FEATURES);
      expect(success).to.contain('<enabled ').and.not.to.contain('But soft');
      await player.until(/But soft.*<\/message><r [^>]*>/);
      // It counts: the client may acknowledge one stanza, and no more.
      player.send(`<a xmlns='urn:xmpp:sm:3' h='1'/>`);
      await player.fence();
    });

    it('tells a client without room to come back another time', async () => {
      stage = await StreamStage.open({ environment: { POSTHORN_C2S_MAX_SESSIONS_PER_ACCOUNT: '1' } });
      await enter(authenticate({ inline: bind() }));
      const player = await connected();
      player.send(authenticate({ inline: bind(), agent: userAgent(LAPTOP) }));
      expect(await player.refusal()).to.equal('resource-constraint');
    });
  });

  describe('stream management (XEP-0198 8)', () => {
    const ENABLE = `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`;
    const resume = (id: string, h = 0) => `<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='${h}'/>`;
    const idIn = (success: string) => /<enabled xmlns='urn:xmpp:sm:3' id='([^']+)'/.exec(success)?.[1] ?? '';

    it('is enabled inline, and counts from there', async () => {
      const [player, success] = await enter(authenticate({ inline: bind(ENABLE) }));
      expect(success).to.match(
        /<enabled xmlns='urn:xmpp:sm:3' id='[^']+' resume='true' max='\d+'\/><\/bound><\/success>/,
      );
      expect(success).to.not.contain(`<sm xmlns='urn:xmpp:sm:3'/>`);
      player.send(`<iq id='p' type='get' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>`);
      player.send(`<r xmlns='urn:xmpp:sm:3'/>`);
      await player.until(/<a xmlns='urn:xmpp:sm:3' h='1'\/>/);
    });

    it('resumes inline with what was missed behind the features, and ignores a bind beside it', async () => {
      const [phone, entered] = await enter(authenticate({ inline: bind(ENABLE) }));
      const jid = identifierIn(entered);
      phone.send('<presence/>');
      await phone.fence();
      phone.connection.close(new Error('no signal'));
      const romeo = stage.connectSecurely();
      await romeo.enter('romeo', 'orchard');
      romeo.send(`<message to='${JULIET}' type='chat' id='m1'><body>But soft</body></message>`);
      await romeo.fence();

      const [again, success] = await enter(authenticate({ inline: resume(idIn(entered)) + bind() }));
      expect(success).to.contain(`<resumed xmlns='urn:xmpp:sm:3' h='2' previd='${idIn(entered)}'/></success>`);
      expect(success).to.not.contain('<bound').and.not.to.contain('xmpp-bind');
      expect(identifierIn(success)).to.equal(jid);
      await again.until(/But soft/);
      expect([...stage.core.table.sessions()].filter(({ account }) => account.jid.bare === JULIET)).to.have.lengthOf(1);
    });

    it('says why it cannot resume, and binds then', async () => {
      const [, success] = await enter(authenticate({ inline: resume('nothing of ours') + bind(ENABLE) }));
      expect(success).to.match(
        /<failed xmlns='urn:xmpp:sm:3'><item-not-found [^>]*\/><\/failed><bound xmlns='urn:xmpp:bind:0'><metadata [^>]*\/><enabled /,
      );
    });

    it('authenticates who cannot resume and does not bind', async () => {
      const [, success] = await enter(authenticate({ inline: resume('nothing of ours') }));
      expect(success).to.contain('<failed ').and.contain(`<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`);
      expect(identifierIn(success)).to.equal(JULIET);
    });

    it("finds nobody else's session", async () => {
      const [, hers] = await enter(authenticate({ inline: bind(ENABLE) }));
      const romeo = stage.connectSecurely();
      await romeo.open();
      const [, his] = await enter(
        authenticate({ username: 'romeo', inline: resume(idIn(hers)) + bind(), agent: userAgent(LAPTOP) }),
        romeo,
      );
      expect(his).to.contain('<item-not-found ').and.not.to.contain('<resumed');
      expect(identifierIn(his)).to.match(/^romeo@capulet\.example\//);
      expect(full(identifierIn(hers))?.stream).to.not.equal(undefined);
    });

    it('ends the stream of who claims to have more than was sent', async () => {
      const [phone, entered] = await enter(authenticate({ inline: bind(ENABLE) }));
      phone.connection.close(new Error('no signal'));
      const player = await connected();
      player.send(authenticate({ inline: resume(idIn(entered), 99) }));
      expect(await player.refusal()).to.equal('undefined-condition');
    });
  });

  describe('tokens (XEP-0484)', () => {
    const obtain = async (): Promise<string> => {
      const [player, success] = await enter(authenticate({ inline: bind() + REQUEST_TOKEN }));
      expect(success).to.match(
        /<token xmlns='urn:xmpp:fast:0' expiry='2020-03-1[23]T00:00:00\.000Z' token='[\w-]{43}'\/>/,
      );
      player.connection.close();
      return tokenIn(success) ?? '';
    };

    it('are given to who asks for one, and log in from then on in one round trip, pipelined (XEP-0509)', async () => {
      const player = stage.connectSecurely();
      const features = await player.open({ from: JULIET });
      const version = /<config-version [^>]*\/>/.exec(features)?.[0] ?? '';
      const [, entered] = await enter(authenticate({ inline: bind() + REQUEST_TOKEN }), player);
      const request = header({ from: JULIET }) + withToken(tokenIn(entered) ?? '', bind() + version, ` count='1'`);
      const again = stage.connectSecurely();
      again.send(request);
      const success = await again.until(FEATURES);
      expect(identifierIn(success)).to.equal(identifierIn(entered));
      expect(success).to.contain(
        `<additional-data>${tokenMessages('juliet', tokenIn(entered) ?? '').expected}</additional-data>`,
      );
      expect(tokenIn(success)).to.equal(undefined);
    });

    it('make no difference by how the bytes are cut', async () => {
      const token = await obtain();
      const request = header({ from: JULIET }) + withToken(token, bind());
      for (const size of [1, 7, 64]) {
        const player = stage.connectSecurely();
        for (let at = 0; at < request.length; at += size) player.send(request.slice(at, at + size));
        expect(await player.until(FEATURES)).to.contain('<bound ');
      }
    });

    it('are refused without prejudice when pipelined upon other features', async () => {
      const token = await obtain();
      const player = stage.connectSecurely();
      player.send(
        header({ from: JULIET }) +
          withToken(token, `${bind()}<config-version xmlns='urn:xmpp:iap:0' value='older'/>`, ` count='123'`),
      );
      expect(await player.until(/<failure .*<\/failure>/)).to.contain(
        `<aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><config-version-mismatch xmlns='urn:xmpp:iap:0'/>`,
      );
      const [, success] = await enter(withToken(token, bind(), ` count='123'`), player);
      expect(success).to.contain('<bound ');
    });

    it('are renewed when they are due, the older good until the newer is used', async () => {
      const token = await obtain();
      stage.clock.advance(DAY_SECONDS * 1000);
      const [, first] = await enter(withToken(token, bind()));
      const lost = tokenIn(first);
      expect(lost).to.match(/^[\w-]{43}$/);
      const [, second] = await enter(withToken(token, bind()));
      const renewed = tokenIn(second) ?? '';
      expect(renewed).to.not.equal(lost);
      await enter(withToken(renewed, bind()));
      const player = await connected();
      player.send(withToken(token, bind()));
      expect(await conditionOf(player)).to.equal('not-authorized');
    });

    it('end with the wish of the client, and no other is given unless it asks for one', async () => {
      const token = await obtain();
      stage.clock.advance(DAY_SECONDS * 1000);
      const [, success] = await enter(withToken(token, '', ` invalidate='true'`));
      expect(tokenIn(success)).to.equal(undefined);
      const player = await connected();
      player.send(withToken(token));
      expect(await conditionOf(player)).to.equal('not-authorized');
      const other = await obtain();
      const [, exchanged] = await enter(withToken(other, REQUEST_TOKEN, ` invalidate='1'`));
      expect(tokenIn(exchanged)).to.match(/^[\w-]{43}$/);
    });

    it('expire', async () => {
      const token = await obtain();
      stage.clock.advance(21 * DAY_SECONDS * 1000);
      const player = await connected();
      player.send(withToken(token, bind()));
      expect(await conditionOf(player)).to.equal('credentials-expired');
    });

    it('are not given to a client without an id, nor for a mechanism that is not offered', async () => {
      const [, anonymous] = await enter(authenticate({ inline: REQUEST_TOKEN, agent: '' }));
      const [, other] = await enter(
        authenticate({ inline: `<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>` }),
      );
      expect([tokenIn(anonymous), tokenIn(other)]).to.deep.equal([undefined, undefined]);
    });

    it('survive a restart of the server', async () => {
      const store = new MemoryStore();
      const clock = new ManualClock(Date.UTC(2020, 1, 20));
      stage = await StreamStage.open({ store, clock });
      const token = await obtain();
      const { storage } = stage;
      await storage.commit.flush();
      stage = await StreamStage.open({ store, clock, people: [] });
      const [, success] = await enter(withToken(token, bind()));
      expect(success).to.contain('<bound ');
    });
  });

  it('tells who logs in too fast when to come back, by whichever profile', async () => {
    stage = await StreamStage.open({ environment: { POSTHORN_C2S_LOGINS_PER_MINUTE_PER_ADDRESS: '2' } });
    await enter(authenticate({ inline: bind() }));
    const older = stage.connectSecurely();
    await older.logIn('juliet');
    for (const request of [authenticate({ inline: bind() }), plainAuth('juliet')]) {
      const player = await connected();
      player.send(request);
      expect(await player.refusal()).to.equal('resource-constraint');
      expect(player.sent).to.match(/<retry xmlns='urn:posthorn:retry:0' after='\d+'\/>/);
    }
  });

  describe('over WebSocket (RFC 7395)', () => {
    async function opened(): Promise<StreamPlayer> {
      const player = stage.connectSecurely({ framing: 'websocket' });
      const attributes = `to='capulet.example' from='${JULIET}' version='1.0'`;
      player.send(`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' ${attributes}/>`);
      await player.until(/<stream:features [^>]*>.*<\/stream:features>/);
      player.connection.messages = [];
      return player;
    }
    const WELCOMED = /<success .*<\/success>.*<\/stream:features>/;

    it('gives a token, and is back with it and the session, whichever transport that had', async () => {
      const enable = `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`;
      const [page, success] = [await opened(), /<success .*<\/success>/];
      page.send(authenticate({ inline: bind(enable) + REQUEST_TOKEN }));
      const entered = success.exec(await page.until(WELCOMED))?.[0] ?? '';
      const id = /<enabled xmlns='urn:xmpp:sm:3' id='([^']+)'/.exec(entered)?.[1] ?? '';
      page.connection.close(new Error('no signal'));
      for (const returning of [await opened(), await connected()]) {
        const resume = `<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`;
        returning.send(withToken(tokenIn(entered) ?? '', resume + bind(enable)));
        const answer = await returning.until(WELCOMED);
        expect(answer).to.contain(`<resumed xmlns='urn:xmpp:sm:3' h='0' previd='${id}'/></success>`);
        expect(identifierIn(answer)).to.equal(identifierIn(entered));
        returning.connection.close(new Error('no signal'));
      }
    });

    it('tells who logs in too fast when to come back', async () => {
      stage = await StreamStage.open({ environment: { POSTHORN_C2S_LOGINS_PER_MINUTE_PER_ADDRESS: '1' } });
      await enter(authenticate({ inline: bind() }));
      const page = await opened();
      page.send(authenticate({ inline: bind() }));
      await page.until(/<close [^>]*>/);
      expect(page.connection.messages).to.have.lengthOf(2);
      expect(page.connection.messages[0]).to.match(
        /^<stream:error [^>]*><resource-constraint .*<retry xmlns='urn:posthorn:retry:0' after='\d+'\/><\/stream:error>$/,
      );
    });
  });

  it('works over WebSocket, one message for each element (RFC 7395)', async () => {
    const player = stage.connectSecurely({ framing: 'websocket' });
    player.send(`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='capulet.example' version='1.0'/>`);
    await player.until(/<stream:features [^>]*>.*<\/stream:features>/);
    player.connection.messages = [];
    player.send(authenticate({ inline: bind() }));
    await player.until(/<success .*<\/success>.*<\/stream:features>/);
    expect(player.connection.messages).to.have.lengthOf(2);
    expect(player.connection.messages[1]).to.match(/^<stream:features xmlns:stream=/);
  });
});
