import { expect } from 'chai';
import { KeyShapes } from '../../../server/sasl/key-shapes.ts';
import type { Credentials } from '../../../storage/accounts.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { textKey } from '../../../storage/keys.ts';
import { storageOver } from '../../../storage/storage.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { StreamStage } from '../../support/stream-stage.ts';

const DOMAIN = 'capulet.example';
const keys = (bytes: number, iterations: number, saltBytes: number) => ({
  salt: new Uint8Array(saltBytes).fill(1),
  iterations,
  storedKey: new Uint8Array(bytes),
  serverKey: new Uint8Array(bytes),
});
const native = (iterations: number): Credentials => ({
  'SHA-1': keys(20, iterations, 16),
  'SHA-256': keys(32, iterations, 16),
  'SHA-512': keys(64, iterations, 16),
});
/** As another server keeps them. */
const imported: Credentials = { 'SHA-1': keys(20, 4096, 36) };

/** Accounts in a store, under these names. */
async function storeWith(accounts: Readonly<Record<string, Credentials>>): Promise<MemoryStore> {
  const store = new MemoryStore();
  await storageOver(store).accounts.createMany(
    Object.entries(accounts).map(([jid, credentials]) => ({
      jid,
      record: { createdAt: 0, disabled: false, credentials },
    })),
  );
  return store;
}

/** Juliets with keys of this kind. */
function people(kind: string, count: number, credentials: Credentials): Record<string, Credentials> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`${kind}${n}@${DOMAIN}`, credentials]));
}

describe('what shows of keys before a login (RFC 6120 6.5.10)', () => {
  /** Iterations and length of the salt, as a stranger sees them. */
  const shown = async (stage: StreamStage, username: string, mechanism = 'SCRAM-SHA-1'): Promise<string> => {
    const player = stage.connectSecurely();
    await player.open();
    const client = new ScramClient({ username, password: 'x', mechanism, nonce: 'n' });
    player.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='${mechanism}'>${client.first()}</auth>`);
    const [, challenge = ''] =
      /<challenge [^>]*>([^<]*)</.exec(await player.until(/<challenge .*?<\/challenge>/)) ?? [];
    const [, salt = '', iterations = ''] = /,s=([^,]*),i=(\d+)/.exec(Buffer.from(challenge, 'base64').toString()) ?? [];
    return `${iterations} ${Buffer.from(salt, 'base64').length}`;
  };
  const stageWith = async (accounts: Readonly<Record<string, Credentials>>, iterations = 5000): Promise<StreamStage> =>
    StreamStage.open({
      store: await storeWith(accounts),
      people: [],
      environment: { POSTHORN_SASL_SCRAM_ITERATIONS: String(iterations) },
    });

  it('is of a user that does not exist what it is of accounts, once new keys are made otherwise', async () => {
    const stage = await stageWith(people('juliet', 3, native(4096)));
    for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-512']) {
      expect(await shown(stage, 'juliet1', mechanism)).to.equal('4096 16');
      expect(await shown(stage, 'nobody', mechanism)).to.equal('4096 16');
    }
  });

  it('is so for imported keys, and for a mechanism for which those accounts have none', async () => {
    const stage = await stageWith(people('juliet', 3, imported));
    for (const username of ['juliet1', 'nobody']) {
      expect(await shown(stage, username, 'SCRAM-SHA-1')).to.equal('4096 36');
      expect(await shown(stage, username, 'SCRAM-SHA-512')).to.equal('5000 16');
    }
  });

  it('is that of new keys where the domain has no accounts', async () => {
    const stage = await stageWith({ 'romeo@montague.example': native(4096) });
    expect(await shown(stage, 'nobody')).to.equal('5000 16');
  });

  describe('in proportion', () => {
    const USERS = Array.from({ length: 2000 }, (_, n) => Buffer.from(`secret of nobody${n}`));
    const surveyed = async (accounts: Readonly<Record<string, Credentials>>): Promise<KeyShapes> => {
      const shapes = new KeyShapes(storageOver(await storeWith(accounts)).accounts, () => 0);
      await shapes.survey();
      return shapes;
    };
    const saltsOf = (shapes: KeyShapes): (number | undefined)[] =>
      USERS.map((user) => shapes.shapeOf(DOMAIN, () => user)?.['SHA-1']?.saltBytes);

    it('is as often of each kind as among the accounts, and the same every time', async () => {
      const accounts = { ...people('old', 300, imported), ...people('new', 100, native(4096)) };
      const salts = saltsOf(await surveyed(accounts));
      expect(salts.filter((bytes) => bytes === 36).length / USERS.length).to.be.within(0.7, 0.8);
      expect(saltsOf(await surveyed(accounts))).to.deep.equal(salts);
    });

    it('changes for few when accounts come', async () => {
      const accounts = { ...people('old', 300, imported), ...people('new', 100, native(4096)) };
      const before = saltsOf(await surveyed(accounts));
      const after = saltsOf(await surveyed({ ...accounts, ...people('young', 4, native(4096)) }));
      const changed = before.filter((bytes, n) => bytes !== after[n]);
      expect(changed.length / USERS.length).to.be.lessThan(0.02);
      expect(changed.every((bytes) => bytes === 36)).to.equal(true);
    });
  });

  it('is that of the others where the record of an account is corrupt', async () => {
    const store = await storeWith(people('juliet', 20, imported));
    const key = textKey('accounts', `juliet7@${DOMAIN}`);
    await store.write([{ type: 'put', key, value: Uint8Array.of(1, 2, 3) }]);
    const shapes = new KeyShapes(storageOver(store).accounts, () => 0);
    expect(await shapes.survey()).to.equal(1);
    expect(shapes.shapeOf(DOMAIN, () => Buffer.alloc(1))).to.deep.equal({
      'SHA-1': { iterations: 4096, saltBytes: 36 },
    });
  });

  it('follows the accounts that are made meanwhile, within an hour', async () => {
    const { accounts } = storageOver(await storeWith({}));
    let now = 0;
    const shapes = new KeyShapes(accounts, () => now);
    await shapes.survey();
    await accounts.create(`juliet@${DOMAIN}`, { createdAt: 0, disabled: false, credentials: imported });
    const look = async (): Promise<unknown> => {
      shapes.shapeOf(DOMAIN, () => Buffer.alloc(1));
      for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve));
      return shapes.shapeOf(DOMAIN, () => Buffer.alloc(1));
    };
    expect(await look()).to.equal(undefined);
    now = 3_600_000;
    expect(await look()).to.deep.equal({ 'SHA-1': { iterations: 4096, saltBytes: 36 } });
  });
});
