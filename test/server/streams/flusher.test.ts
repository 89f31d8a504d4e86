import { expect } from 'chai';

import { Flusher, type Flushable } from '../../../server/streams/flusher.ts';
import { silentLog } from '../../support/silent-log.ts';

describe('Flusher', () => {
  const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  let flushed: number[];
  let destroyed: number[];
  let rounds: number;
  let flusher: Flusher;

  beforeEach(() => {
    flushed = [];
    destroyed = [];
    rounds = 0;
    flusher = new Flusher({ log: silentLog, flushed: () => rounds++ });
  });

  function connection(number: number, flush: () => void = () => undefined): Flushable {
    return {
      flush: () => {
        flush();
        flushed.push(number);
      },
      destroy: () => destroyed.push(number),
    };
  }

  const add = (count: number): void => {
    for (let number = 0; number < count; number++) flusher.add(connection(number));
  };

  it('writes a few connections at the end of the turn, in order', async () => {
    add(3);
    flusher.relieve();
    expect(flushed).to.deep.equal([]);
    await nextTurn();
    expect(flushed).to.deep.equal([0, 1, 2]);
    expect(rounds).to.equal(1);
  });

  it('writes many as soon as what brought them has been dealt with, once', async () => {
    add(1000);
    expect(flushed).to.deep.equal([]);
    flusher.relieve();
    expect(flushed).to.have.length(1000);
    await nextTurn();
    expect(flushed).to.have.length(1000);
  });

  it('writes what is gathered after that at the end of the turn', async () => {
    add(1000);
    flusher.relieve();
    flushed = [];
    add(2);
    flusher.relieve();
    expect(flushed).to.deep.equal([]);
    await nextTurn();
    expect(flushed).to.deep.equal([0, 1]);
    add(1);
    await nextTurn();
    expect(flushed).to.deep.equal([0, 1, 0]);
  });

  it('writes in the next turn what is added while it writes', async () => {
    const late = connection(2);
    flusher.add(connection(1, () => flusher.add(late)));
    await nextTurn();
    expect(flushed).to.deep.equal([1]);
    await nextTurn();
    expect(flushed).to.deep.equal([1, 2]);
  });

  it('destroys a connection that cannot be written, and writes the others', async () => {
    flusher.add(
      connection(0, () => {
        throw new Error('a defect');
      }),
    );
    flusher.add(connection(1));
    await nextTurn();
    expect(destroyed).to.deep.equal([0]);
    expect(flushed).to.deep.equal([1]);
  });
});
