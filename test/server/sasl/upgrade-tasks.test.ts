import { expect } from 'chai';
import { pbkdf2Sync } from 'node:crypto';

import type { Credentials, ScramHash } from '../../../storage/accounts.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { PASSWORD, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';
import { tokenMessages } from '../../support/token-client.ts';

const JULIET = 'juliet@capulet.example';
const PHONE = `<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>AwesomeXMPP</software></user-agent>`;
const TOKEN = `<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>`;
const STEP = /<(continue|task-data|success|failure|stream:error)[ >].*?<\/\1>/;

const upgrade = (...tasks: string[]): string =>
  tasks.map((task) => `<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>${task}</upgrade>`).join('');
const next = (task: string): string => `<next xmlns='urn:xmpp:sasl:2' task='${task}'/>`;
const data = (hash: string): string =>
  `<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>${hash}</hash></task-data>`;

/** SaltedPassword of RFC 5802 3, as the client derives it from what it is asked. */
function hashFor(asked: string, digest: 'sha256' | 'sha512', password = PASSWORD): string {
  const match = /<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='(\d+)'>([^<]+)<\/salt>/.exec(asked);
  const salt = Buffer.from(match?.[2] ?? '', 'base64');
  return pbkdf2Sync(password, salt, Number(match?.[1]), digest === 'sha256' ? 32 : 64, digest).toString('base64');
}

describe('SASL upgrade tasks (XEP-0480)', () => {
  let stage: StreamStage;
  let all: Credentials;
  let lines: ReturnType<typeof recordingLog>['lines'];

  beforeEach(async () => {
    const recording = recordingLog();
    lines = recording.lines;
    const clock = new ManualClock(Date.UTC(2024, 11, 1));
    stage = await StreamStage.open({ clock, store: new MemoryStore(), log: recording.log });
    all = (await stage.storage.accounts.get(JULIET))!.credentials;
    await keepOnly('SHA-1');
  });

  /** As an account that came from a server which keeps these keys alone. */
  async function keepOnly(...hashes: readonly ScramHash[]): Promise<void> {
    await stage.storage.accounts.update(JULIET, (record) => ({
      ...record,
      credentials: Object.fromEntries(hashes.map((hash) => [hash, all[hash]])),
    }));
  }
  const hashesOf = async (): Promise<string[]> =>
    Object.keys((await stage.storage.accounts.get(JULIET))?.credentials ?? {});

  async function connected(): Promise<StreamPlayer> {
    const player = stage.connectSecurely();
    await player.open({ from: JULIET });
    return player;
  }
  const send = (player: StreamPlayer, bytes: string): Promise<string> => {
    player.send(bytes);
    return player.until(STEP);
  };
  /** Logs in up to what follows the right proof. */
  async function authenticate(player: StreamPlayer, more: string, hash: ScramHash = 'SHA-1', password = PASSWORD) {
    const mechanism = `SCRAM-${hash}`;
    const client = new ScramClient({ username: 'juliet', password, mechanism });
    player.send(
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='${mechanism}'>` +
        `<initial-response>${client.first()}</initial-response>${PHONE}${more}</authenticate>`,
    );
    const challenge = /<challenge [^>]*>([^<]*)</.exec(await player.until(/<challenge .*?<\/challenge>/))?.[1] ?? '';
    const step = await send(player, `<response xmlns='urn:xmpp:sasl:2'>${client.respond(challenge)}</response>`);
    const additional = /<additional-data>([^<]+)<\/additional-data>/.exec(step)?.[1];
    if (additional !== undefined) client.verify(additional);
    return step;
  }
  const outcome = async (hash: ScramHash, password = PASSWORD): Promise<string> =>
    /<(\w+)/.exec(await authenticate(await connected(), '', hash, password))?.[1] ?? '';

  it('2.1: are announced, to everybody alike', async () => {
    const features = [JULIET, 'nobody@capulet.example', undefined].map(
      async (from) =>
        /<\/fast><\/inline>(.*?)<\/authentication>/.exec(await stage.connectSecurely().open({ from }))?.[1],
    );
    const announced = upgrade('UPGR-SCRAM-SHA-512', 'UPGR-SCRAM-SHA-256');
    expect(await Promise.all(features)).to.deep.equal([announced, announced, announced]);
  });

  it('3: an account with SCRAM-SHA-1 alone is upgraded, and can log in by either then', async () => {
    const player = await connected();
    const asked = await authenticate(player, upgrade('UPGR-SCRAM-SHA-256'));
    expect(asked).to.match(
      /^<continue xmlns='urn:xmpp:sasl:2'><additional-data>[^<]+<\/additional-data><tasks><task>UPGR-SCRAM-SHA-256<\/task><\/tasks><\/continue>$/,
    );
    const salt = await send(player, next('UPGR-SCRAM-SHA-256'));
    expect(salt).to.match(
      /^<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='\d+'>[^<]{24}<\/salt><\/task-data>$/,
    );
    expect(await hashesOf(), 'before the client has brought it').to.deep.equal(['SHA-1']);
    const success = await send(player, data(`\n  ${hashFor(salt, 'sha256')}\n`));
    expect(success).to.equal(
      `<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>${JULIET}</authorization-identifier></success>`,
    );
    expect(await hashesOf()).to.deep.equal(['SHA-1', 'SHA-256']);
    const text = 'a client has brought keys for a mechanism';
    const brought = lines.filter((line) => line.text === text);
    expect(brought).to.deep.equal([{ account: JULIET, mechanism: 'SCRAM-SHA-256', text }]);
    expect(await outcome('SHA-256')).to.equal('success');
    expect(await outcome('SHA-256', 'art thou not Romeo')).to.equal('failure');
    expect(await outcome('SHA-1')).to.equal('success');
  });

  it('2.2: each task that was asked for has its turn, with what was asked inline behind the last', async () => {
    const player = await connected();
    const inline = `<bind xmlns='urn:xmpp:bind:0'/>${TOKEN}`;
    let step = await authenticate(player, upgrade('UPGR-SCRAM-SHA-256', 'UPGR-SCRAM-SHA-512', 'UPGR-BLOOP') + inline);
    for (const [task, digest] of [
      ['UPGR-SCRAM-SHA-512', 'sha512'],
      ['UPGR-SCRAM-SHA-256', 'sha256'],
    ] as const) {
      expect(step).to.include(`<task>${task}</task>`);
      step = await send(player, data(hashFor(await send(player, next(task)), digest)));
    }
    expect(step)
      .to.match(/^<success .*<bound /)
      .and.to.include('<token ');
    for (const hash of ['SHA-512', 'SHA-256', 'SHA-1'] as const) expect(await outcome(hash), hash).to.equal('success');
  });

  it('asks nothing of who lacks nothing, asks for nothing, or comes with a token', async () => {
    expect(await authenticate(await connected(), upgrade('UPGR-SCRAM-SHA-1', 'UPGR-BLOOP'))).to.match(/^<success /);
    const player = await connected();
    const success = await authenticate(player, TOKEN);
    const { initial } = tokenMessages('juliet', / token='([^']*)'/.exec(success)?.[1] ?? '');
    const returned = await send(
      await connected(),
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>${initial}</initial-response>` +
        `${PHONE}<fast xmlns='urn:xmpp:fast:0'/>${upgrade('UPGR-SCRAM-SHA-512')}</authenticate>`,
    );
    expect(returned).to.match(/^<success /);
    await stage.storage.accounts.update(JULIET, (record) => ({ ...record, credentials: all }));
    expect(await authenticate(await connected(), upgrade('UPGR-SCRAM-SHA-512'))).to.match(/^<success /);
    await keepOnly('SHA-512');
    expect(await authenticate(await connected(), upgrade('UPGR-SCRAM-SHA-256'), 'SHA-512')).to.match(/^<success /);
  });

  it('leaves the tokens of other devices good, and logins that are under way', async () => {
    const success = await authenticate(await connected(), TOKEN);
    const { initial } = tokenMessages('juliet', / token='([^']*)'/.exec(success)?.[1] ?? '');
    const [one, other] = [await connected(), await connected()];
    for (const player of [one, other]) {
      expect(await authenticate(player, upgrade('UPGR-SCRAM-SHA-512'))).to.match(/^<continue /);
    }
    const [first, second] = [
      await send(one, next('UPGR-SCRAM-SHA-512')),
      await send(other, next('UPGR-SCRAM-SHA-512')),
    ];
    expect(await send(one, data(hashFor(first, 'sha512')))).to.match(/^<success /);
    expect(await send(other, data(hashFor(second, 'sha512')))).to.match(/^<success /);
    expect(await outcome('SHA-512')).to.equal('success');
    const returned = await send(
      await connected(),
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>${initial}</initial-response>` +
        `${PHONE}<fast xmlns='urn:xmpp:fast:0'/></authenticate>`,
    );
    expect(returned).to.match(/^<success /);
  });

  it('refuses keys once the password is another, or the account is disabled', async () => {
    for (const change of ['password', 'disabled'] as const) {
      await keepOnly('SHA-1');
      const player = await connected();
      await authenticate(player, upgrade('UPGR-SCRAM-SHA-512'));
      const salt = await send(player, next('UPGR-SCRAM-SHA-512'));
      await stage.storage.accounts.update(JULIET, (record) => {
        const keys = record.credentials['SHA-1']!;
        const renewed = { 'SHA-1': { ...keys, storedKey: keys.serverKey } };
        return change === 'disabled' ? { ...record, disabled: true } : { ...record, credentials: renewed };
      });
      expect(await send(player, data(hashFor(salt, 'sha512'))), change).to.include('<not-authorized ');
      expect(await hashesOf()).to.deep.equal(['SHA-1']);
      expect(lines.map(({ text }) => text)).not.to.include('a client has brought keys for a mechanism');
      await stage.storage.accounts.update(JULIET, (record) => ({
        ...record,
        disabled: false,
        credentials: all,
      }));
    }
  });

  for (const [what, sent] of [
    ['another task', [next('UPGR-SCRAM-SHA-256')]],
    ['a task begun twice', [next('UPGR-SCRAM-SHA-512'), next('UPGR-SCRAM-SHA-512')]],
    ['a hash before the task', [data(Buffer.alloc(64).toString('base64'))]],
    ['a hash of another length', [next('UPGR-SCRAM-SHA-512'), data(Buffer.alloc(32).toString('base64'))]],
    ['what is no base 64', [next('UPGR-SCRAM-SHA-512'), data('!!!!')]],
    ['no hash', [next('UPGR-SCRAM-SHA-512'), `<task-data xmlns='urn:xmpp:sasl:2'/>`]],
    ['a response', [`<response xmlns='urn:xmpp:sasl:2'>AAAA</response>`]],
  ] as const) {
    it(`refuses ${what}, and any further authentication (XEP-0388)`, async () => {
      const player = await connected();
      expect(await authenticate(player, upgrade('UPGR-SCRAM-SHA-512'))).to.match(/^<continue /);
      let step = '';
      for (const bytes of sent) step = await send(player, bytes);
      expect(step).to.match(/^<failure .*<malformed-request /);
      expect(await hashesOf()).to.deep.equal(['SHA-1']);
      player.send(`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'/>`);
      expect(await player.refusal()).to.equal('policy-violation');
    });
  }

  it('lets a client abort', async () => {
    const player = await connected();
    await authenticate(player, upgrade('UPGR-SCRAM-SHA-512'));
    expect(await send(player, `<abort xmlns='urn:xmpp:sasl:2'/>`)).to.match(/^<failure .*<aborted /);
    expect(await hashesOf()).to.deep.equal(['SHA-1']);
  });
});
