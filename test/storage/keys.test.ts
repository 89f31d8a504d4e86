import { expect } from 'chai';
import {
  deleteOwner,
  describeKey,
  ownerRange,
  partsOf,
  positionKey,
  positionRange,
  restAsPosition,
  restAsText,
  shardOf,
  SHARDS,
  shardRange,
  TABLES,
  textKey,
} from '../../storage/keys.ts';
import type { Table } from '../../storage/keys.ts';
import { StoreError } from '../../storage/ordered-store.ts';

const JULIET = 'juliet@capulet.example';

describe('the key layout', () => {
  it('is shard, table, owner, zero and the rest', () => {
    const key = textKey('rosters', JULIET, 'romeo@montague.example');
    const shard = shardOf(JULIET);
    const expected = Buffer.concat([
      Buffer.of(0, shard, 3),
      Buffer.from(JULIET),
      Buffer.of(0),
      Buffer.from('romeo@montague.example'),
    ]);
    expect(Buffer.from(key).toString('hex')).to.equal(expected.toString('hex'));
  });

  it('gives every table the byte it has on disks for ever', () => {
    expect(TABLES).to.deep.equal({
      layout: 0,
      serverKeys: 1,
      accounts: 2,
      rosters: 3,
      log: 4,
      cursors: 5,
      documents: 6,
      sequences: 7,
      handled: 8,
      sessions: 9,
      contacts: 10,
      archives: 11,
      removals: 12,
      sendKeys: 13,
      tokens: 14,
      unavailable: 15,
      outbox: 16,
      outboxMarks: 17,
      omissions: 18,
    });
  });

  // The first values: test vectors of FNV-1a 32 published by its authors (e40c292c for "a", bf9cf968 for "foobar").
  it('finds shards by FNV-1a, its four bytes combined by exclusive or', () => {
    expect(SHARDS).to.equal(256);
    expect(shardOf('')).to.equal(0x81 ^ 0x1c ^ 0x9d ^ 0xc5);
    expect(shardOf('a')).to.equal(0xe4 ^ 0x0c ^ 0x29 ^ 0x2c);
    expect(shardOf('foobar')).to.equal(0xbf ^ 0x9c ^ 0xf9 ^ 0x68);
  });

  it('hashes the UTF-8 bytes of names beyond ASCII, so that a key can be checked against its shard', () => {
    for (const owner of ['æschylus@athens.example', 'ophelia@例.example', '🎭@globe.example']) {
      const key = textKey('accounts', owner);
      expect(partsOf(key).owner).to.equal(owner);
      expect(key[1]).to.equal(shardOf(owner));
    }
  });

  it('spreads accounts over the shards', () => {
    const counts = new Array<number>(SHARDS).fill(0);
    for (let index = 0; index < 25_600; index++) {
      const shard = shardOf(`citizen${index}@verona.example`);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).to.be.greaterThan(50);
    expect(Math.max(...counts)).to.be.lessThan(200);
  });

  it('takes apart what it has put together', () => {
    const parts = partsOf(textKey('documents', JULIET, 'notes: balcony'));
    expect(parts.table).to.equal('documents');
    expect(parts.owner).to.equal(JULIET);
    expect(restAsText(textKey('documents', JULIET, 'notes: balcony'))).to.equal('notes: balcony');
    for (const position of [0, 1, 0xffff_ffff, 0x1_0000_0000, 1_700_000_000_000_000, Number.MAX_SAFE_INTEGER]) {
      expect(restAsPosition(positionKey('log', JULIET, position))).to.equal(position);
    }
  });

  it('sorts positions by number', () => {
    const positions = [0, 1, 255, 256, 0xffff_ffff, 0x1_0000_0000, 1_700_000_000_000_000, Number.MAX_SAFE_INTEGER];
    const keys = positions.map((position) => positionKey('log', JULIET, position));
    expect(keys.toSorted((one, other) => Buffer.compare(one, other))).to.deep.equal(keys);
  });

  it('keeps an owner apart from every other, were its name the beginning of theirs', () => {
    const { from, to } = ownerRange('rosters', 'juliet@a');
    const within = (key: Uint8Array): boolean => Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0;
    expect(within(textKey('rosters', 'juliet@a'))).to.be.true;
    expect(within(textKey('rosters', 'juliet@a', '\u{10ffff}'))).to.be.true;
    expect(within(textKey('log', 'juliet@a'))).to.be.false;
    // Without their shards, which would keep them apart anyway.
    const bare = (key: Uint8Array): Uint8Array => key.subarray(2);
    for (const other of ['juliet@a.example', 'juliet@a\u0001', 'juliet@']) {
      const key = bare(textKey('rosters', other, 'x'));
      expect(Buffer.compare(key, bare(from)) >= 0 && Buffer.compare(key, bare(to)) < 0, other).to.be.false;
    }
    expect(deleteOwner('rosters', 'juliet@a')).to.deep.equal({ type: 'deleteRange', from, to });
  });

  it('bounds positions on both sides, neither included', () => {
    const { from, to } = positionRange('log', JULIET, 5, 9);
    expect(restAsPosition(from)).to.equal(6);
    expect(restAsPosition(to)).to.equal(9);
    expect(positionRange('log', JULIET, undefined, undefined)).to.deep.equal(ownerRange('log', JULIET));
  });

  it('covers a table of a shard', () => {
    const { from, to } = shardRange('accounts', shardOf(JULIET));
    const key = textKey('accounts', JULIET);
    expect(Buffer.compare(key, from) > 0 && Buffer.compare(key, to) < 0).to.be.true;
    expect(Buffer.compare(textKey('rosters', JULIET), to) >= 0).to.be.true;
  });

  it('refuses U+0000 and what is no position', () => {
    expect(() => textKey('accounts', 'juliet\0@capulet.example')).to.throw(RangeError);
    expect(() => textKey('rosters', JULIET, 'romeo\0')).to.throw(RangeError);
    for (const position of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => positionKey('log', JULIET, position), String(position)).to.throw(RangeError);
    }
  });

  it('calls keys corrupt that it cannot have made', () => {
    const key = Buffer.from(textKey('accounts', JULIET));
    const otherShard = Buffer.from(key);
    otherShard[1] = (otherShard[1] ?? 0) ^ 1;
    const otherTable = Buffer.from(key);
    otherTable[2] = 200;
    const noEnd = key.subarray(0, key.length - 1);
    for (const wrong of [Buffer.alloc(0), otherShard, otherTable, noEnd]) {
      expect(() => partsOf(wrong))
        .to.throw(StoreError)
        .with.property('code', 'corrupt');
      expect(describeKey(wrong)).to.equal(`key ${wrong.toString('hex')}`);
    }
    const beyond = Buffer.from(positionKey('log', JULIET, 1));
    beyond.fill(0xff, beyond.length - 8);
    expect(() => restAsPosition(beyond)).to.throw(StoreError);
    expect(() => restAsPosition(key)).to.throw(StoreError);
    const notText = Buffer.concat([key, Buffer.of(0xff)]);
    expect(() => restAsText(notText)).to.throw(StoreError);
  });

  it('describes keys in words', () => {
    const described: readonly (readonly [Uint8Array, string])[] = [
      [textKey('accounts', JULIET), `accounts of ${JULIET}`],
      [positionKey('log', JULIET, 1_700_000_000_000_000), `log of ${JULIET} at 1700000000000000`],
      [textKey('rosters', JULIET, 'romeo@montague.example'), `rosters of ${JULIET}: romeo@montague.example`],
      [textKey('serverKeys', '', 'salt'), 'serverKeys: salt'],
    ];
    for (const [key, expected] of described) expect(describeKey(key)).to.equal(expected);
  });

  it('has room in every table for an owner without a name: the server', () => {
    for (const table of Object.keys(TABLES) as Table[]) expect(partsOf(textKey(table, '')).owner).to.equal('');
  });
});
