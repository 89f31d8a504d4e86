import { expect } from 'chai';
import { MemoryStore } from '../../storage/backends/memory.ts';
import type { TokenClient } from '../../storage/client-tokens.ts';
import { textKey } from '../../storage/keys.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import { storageOver, type Storage } from '../../storage/storage.ts';

const JULIET = 'juliet@capulet.example';
const NURSE = 'nurse@capulet.example';
const PHONE: TokenClient = {
  software: 'Verona',
  device: 'Juliet’s phone',
  firstSeenAt: 1000,
  lastSeenAt: 2000,
  credentials: Uint8Array.of(1, 2, 3),
  current: undefined,
  fresh: { mechanism: 'HT-SHA-256-ENDP', nonce: Uint8Array.of(9, 8), issuedAt: 1000, expiresAt: 9000, count: 0 },
};

describe('ClientTokens', () => {
  let store: MemoryStore;
  let storage: Storage;

  beforeEach(() => {
    store = new MemoryStore();
    storage = storageOver(store);
  });

  const put = (owner: string, client: string, record: TokenClient, maxClients = 10) =>
    storage.clientTokens.change(owner, client, maxClients, () => record);
  const clientsOf = async (owner: string) => (await storage.clientTokens.list(owner)).map(({ client }) => client);

  it('keeps what a client was given, by account and client', async () => {
    await put(JULIET, 'phone', PHONE);
    const used = { ...PHONE, current: { ...PHONE.fresh!, count: 7 }, fresh: undefined };
    await put(JULIET, 'laptop', used);
    expect(await storage.clientTokens.get(JULIET, 'phone')).to.deep.equal(PHONE);
    expect(await storage.clientTokens.get(JULIET, 'laptop')).to.deep.equal(used);
    expect(await storage.clientTokens.get(NURSE, 'phone')).to.equal(undefined);
    expect(await clientsOf(JULIET)).to.deep.equal(['laptop', 'phone']);
  });

  it('forgets one client, or all of an account, and says how many', async () => {
    await put(JULIET, 'phone', PHONE);
    await put(JULIET, 'laptop', PHONE);
    await put(NURSE, 'phone', PHONE);
    expect(await storage.clientTokens.remove(JULIET, 'phone')).to.equal(true);
    expect(await storage.clientTokens.remove(JULIET, 'phone')).to.equal(false);
    await put(JULIET, 'phone', PHONE);
    expect(await storage.clientTokens.removeAll(JULIET)).to.equal(2);
    expect(await storage.clientTokens.removeAll(JULIET)).to.equal(0);
    expect(await clientsOf(NURSE)).to.deep.equal(['phone']);
  });

  it('gives the place of the client seen longest ago to a new one', async () => {
    await put(JULIET, 'phone', { ...PHONE, lastSeenAt: 3000 }, 2);
    await put(JULIET, 'laptop', { ...PHONE, lastSeenAt: 1000 }, 2);
    await put(JULIET, 'phone', { ...PHONE, lastSeenAt: 4000 }, 2);
    expect(await clientsOf(JULIET)).to.deep.equal(['laptop', 'phone']);
    await put(JULIET, 'tablet', PHONE, 2);
    expect(await clientsOf(JULIET)).to.deep.equal(['phone', 'tablet']);
  });

  it('changes one after the other, each seeing the one before', async () => {
    await put(JULIET, 'phone', PHONE);
    const counts: number[] = [];
    await Promise.all(
      Array.from({ length: 5 }, () =>
        storage.clientTokens.change(JULIET, 'phone', 10, (record) => {
          const token = record!.fresh!;
          counts.push(token.count);
          return { ...record!, fresh: { ...token, count: token.count + 1 } };
        }),
      ),
    );
    expect(counts).to.deep.equal([0, 1, 2, 3, 4]);
  });

  it('goes on after a change that was refused', async () => {
    const refused = storage.clientTokens.change(JULIET, 'phone', 10, () => {
      throw new Error('no');
    });
    expect(await refused.catch((error: unknown) => String(error))).to.equal('Error: no');
    await put(JULIET, 'phone', PHONE);
    expect(await clientsOf(JULIET)).to.deep.equal(['phone']);
  });

  it('loses every token of an account with its password, when it is disabled and when it is removed', async () => {
    const record = { createdAt: 0, disabled: false, credentials: {} };
    await storage.accounts.create(JULIET, record);
    await put(JULIET, 'phone', PHONE);
    await put(NURSE, 'phone', PHONE);
    await storage.accounts.update(JULIET, (account) => ({ ...account, createdAt: 5 }));
    expect(await clientsOf(JULIET)).to.deep.equal(['phone']);
    await storage.accounts.update(JULIET, (account) => ({ ...account, credentials: {} }));
    expect(await clientsOf(JULIET)).to.deep.equal([]);
    await put(JULIET, 'phone', PHONE);
    await storage.accounts.update(JULIET, (account) => ({ ...account, disabled: true }));
    expect(await clientsOf(JULIET)).to.deep.equal([]);
    await put(JULIET, 'phone', PHONE);
    await storage.accounts.remove(JULIET);
    expect(await clientsOf(JULIET)).to.deep.equal([]);
    expect(await clientsOf(NURSE)).to.deep.equal(['phone']);
  });

  it('says of every cut record that it is corrupt', async () => {
    await put(JULIET, 'phone', PHONE);
    const key = textKey('tokens', JULIET, 'phone');
    const [whole] = await store.getMany([key]);
    for (let length = 0; length < whole!.length; length++) {
      await store.write([{ type: 'put', key, value: whole!.subarray(0, length) }]);
      const error = await storage.clientTokens.get(JULIET, 'phone').catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
    }
  });
});
