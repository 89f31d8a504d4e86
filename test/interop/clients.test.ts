import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ensureCertificates } from '../../certs/make-certs.ts';
import type { Transport } from './client-events.ts';
import { NBXMPP, SLIXMPP, STROPHE, XMPP_JS, type ClientKind } from './client-kinds.ts';
import { connect, hear, login, logout, PASSWORD, seePresence, subscribe, talk, type Player } from './duet.ts';
import { PosthornProcess } from './posthorn-process.ts';
import { silentLog } from '../support/silent-log.ts';

const MESSAGES = 1000;
const MESSAGES_TO_THE_ABSENT = 50;
const KINDS = [SLIXMPP, NBXMPP, XMPP_JS, STROPHE];

const lines = (count: number, prefix: string, { joinsCharacters }: ClientKind): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix} ${index + 1} & "so" <on>${joinsCharacters ? ' – ☾ 🎭' : ''}`);
const accountOf = (name: string, { name: kind }: ClientKind, transport: Transport): string =>
  `${name}.${kind}.${transport}@localhost`;

describe('real clients', () => {
  let server: PosthornProcess;
  let strangers: string;
  let otherCaFile: string;

  before(async () => {
    server = await PosthornProcess.start();
    const jids = KINDS.flatMap((kind) =>
      kind.transports.flatMap((transport) => ['juliet', 'romeo'].map((name) => accountOf(name, kind, transport))),
    );
    await server.createAccounts(jids, PASSWORD);
    strangers = await mkdtemp(join(tmpdir(), 'posthorn-interop-ca-'));
    ({ caFile: otherCaFile } = await ensureCertificates({
      directory: strangers,
      domains: ['localhost'],
      now: () => Date.now(),
      log: silentLog,
    }));
  });

  after(async () => {
    await rm(strangers, { recursive: true, force: true });
    expect(await server.stop()).to.equal(0);
  });

  for (const kind of KINDS) {
    for (const transport of kind.transports) {
      describe(`${kind.name} over ${transport}`, () => playWith(kind, transport));
    }
  }

  /** Two people with the same client, from the first login to the last logout. Each scene goes on from the one before. */
  function playWith(kind: ClientKind, transport: Transport): void {
    const parts = {
      juliet: { kind, transport, jid: accountOf('juliet', kind, transport) },
      romeo: { kind, transport, jid: accountOf('romeo', kind, transport) },
    };
    let juliet: Player;
    let romeo: Player;
    const onStage = new Set<Player>();
    const enter = async (name: 'juliet' | 'romeo'): Promise<Player> => {
      const player = await login(server, parts[name]);
      onStage.add(player);
      return player;
    };

    let failed: string | undefined;
    beforeEach(() => {
      if (failed !== undefined) throw new Error(`the play ends here: "${failed}" failed`);
    });
    afterEach(function () {
      if (this.currentTest?.state === 'failed') failed = this.currentTest.title;
    });
    after(async () => {
      for (const { client } of onStage) await client.end();
    });

    it('refuses the certificate of an authority it does not know', async () => {
      const client = await connect(server, parts.juliet, otherCaFile);
      try {
        const { reason } = await client.next('failed');
        expect(reason).to.match(/certificate/i);
      } finally {
        await client.end();
      }
    });

    it(`logs in with ${kind.mechanism}`, async () => {
      [juliet, romeo] = await Promise.all([enter('juliet'), enter('romeo')]);
      expect([juliet.mechanism, romeo.mechanism]).to.deep.equal([kind.mechanism, kind.mechanism]);
      // XEP-0386: who binds inline names a tag, to which the server appends.
      const resource = kind.bindsInline ? /^play\/[^/]+$/ : /^play$/;
      for (const { full, jid } of [juliet, romeo]) {
        expect(full).to.satisfy((text: string) => text.startsWith(`${jid}/`));
        expect(full.slice(jid.length + 1)).to.match(resource);
      }
    });

    it('asks the server for the roster, a ping, its version and its features', async () => {
      expect(await juliet.client.perform({ command: 'roster' })).to.deep.equal([]);
      expect(await romeo.client.perform({ command: 'roster' })).to.deep.equal([]);
      await juliet.client.perform({ command: 'ping', to: 'localhost' });
      const version = await juliet.client.perform({ command: 'version', to: 'localhost' });
      expect(version).to.have.property('name', 'Posthorn');
      expect(version)
        .to.have.property('version')
        .that.matches(/^\d+\.\d+\.\d+/);
      const info = await juliet.client.perform({ command: 'disco-info', to: 'localhost' });
      expect(info).to.have.deep.property('identities', [{ category: 'server', type: 'im' }]);
      expect(info)
        .to.have.property('features')
        .that.includes.members(['http://jabber.org/protocol/disco#info', 'jabber:iq:version', 'urn:xmpp:ping']);
    });

    it('makes contacts both ways', async () => {
      for (const { client, full } of [juliet, romeo]) {
        await client.perform({ command: 'presence' });
        await client.next('presence', ({ sender }) => sender === full); // RFC 6121 4.2.2: to its own resources too
      }
      await subscribe(juliet, romeo, 'to');
      await subscribe(romeo, juliet, 'both');
      await juliet.client.next('roster-push', ({ subscription }) => subscription === 'both');
      const roster = await juliet.client.perform({ command: 'roster' });
      expect(roster).to.deep.equal([{ jid: romeo.jid, subscription: 'both' }]);
    });

    it('sees presence change, go and come back', async () => {
      await juliet.client.perform({ command: 'presence', status: 'At the balcony' });
      expect(await seePresence(romeo, juliet.full, 'available')).to.have.property('status', 'At the balcony');
      for (const [one, other] of [
        [juliet, romeo],
        [romeo, juliet],
      ] as const) {
        await one.client.perform({ command: 'presence', type: 'unavailable' });
        await seePresence(other, one.full, 'unavailable');
        await one.client.perform({ command: 'presence' });
        await seePresence(other, one.full, 'available');
      }
    });

    it('asks the other client for a ping and its version', async () => {
      await juliet.client.perform({ command: 'ping', to: romeo.full });
      const version = await juliet.client.perform({ command: 'version', to: romeo.full });
      expect(version).to.deep.equal({ name: kind.name, version: '1' });
    });

    it(`exchanges ${MESSAGES} messages each way, in order, numbered without a gap`, async () => {
      const bodies = lines(MESSAGES, 'line', kind);
      await talk(juliet, romeo, bodies, 0);
    });

    it('keeps what is sent to somebody who is away and delivers it in order, with its time', async () => {
      // XEP-0386: who binds inline reads what waited in the archive, and keeps for that how far it has read.
      const end = kind.bindsInline ? await romeo.client.perform({ command: 'archive' }) : undefined;
      await logout(romeo);
      await seePresence(juliet, romeo.full, 'unavailable');
      const bodies = lines(MESSAGES_TO_THE_ABSENT, 'in thy absence', kind);
      await juliet.client.perform({ command: 'chat', to: romeo.jid, bodies });
      // RFC 6120 10.1: answered behind the messages, which therefore are with the server.
      await juliet.client.perform({ command: 'ping', to: 'localhost' });
      romeo = await enter('romeo');
      await romeo.client.perform({ command: 'presence' });
      if (kind.bindsInline) await romeo.client.perform({ command: 'archive', after: String(end) });
      const numbers = await hear(romeo, juliet, bodies, ({ delays }) => {
        expect(delays).to.have.length(1);
        if (!kind.bindsInline) expect(delays[0]).to.have.property('from', 'localhost');
        expect(delays[0])
          .to.have.property('stamp')
          .that.matches(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
      });
      expect(numbers).to.deep.equal(bodies.map((_, index) => 2 * MESSAGES + 1 + index));
      // What is live comes next: nothing that waited comes twice.
      await talk(juliet, romeo, ['Parting is such sweet sorrow – ☾ 🎭'], 2 * MESSAGES + MESSAGES_TO_THE_ABSENT);
    });

    it('logs out, and has received nothing else', async () => {
      for (const { client } of [juliet, romeo]) expect(client.takeLeft('message')).to.deep.equal([]);
      await logout(romeo);
      await seePresence(juliet, romeo.full, 'unavailable');
      await logout(juliet);
    });
  }
});
