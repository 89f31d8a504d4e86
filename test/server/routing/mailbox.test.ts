import { expect } from 'chai';
import { Mailbox } from '../../../server/routing/mailbox.ts';

describe('mailbox', () => {
  it('handles items in order, whether they have to wait or not', async () => {
    const handled: number[] = [];
    const gates: (() => void)[] = [];
    const mailbox = new Mailbox<number>((item) => {
      if (item % 2 === 0) {
        handled.push(item);
        return undefined;
      }
      return new Promise<void>((resolve) => gates.push(resolve)).then(() => void handled.push(item));
    }, undefined);
    for (let item = 0; item < 6; item++) mailbox.put(item);
    expect(handled).to.deep.equal([0]);
    expect(mailbox.isIdle).to.equal(false);
    expect(mailbox.waiting).to.equal(4);
    while (handled.length < 6) {
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(handled).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(mailbox.isIdle).to.equal(true);
  });

  it('goes on behind a defect, which is not hidden', async () => {
    const seen: unknown[] = [];
    const watch = (error: unknown): void => void seen.push(error);
    const earlier = process.rawListeners('unhandledRejection') as ((...parameters: unknown[]) => void)[];
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', watch);
    try {
      const handled: number[] = [];
      const mailbox = new Mailbox<number>((item) => {
        if (item === 1) throw new Error('a defect');
        handled.push(item);
      }, undefined);
      for (const item of [0, 1, 2]) mailbox.put(item);
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      expect(handled).to.deep.equal([0, 2]);
      expect(mailbox.isIdle).to.equal(true);
      expect(seen.map(String)).to.deep.equal(['Error: a defect']);
    } finally {
      process.removeListener('unhandledRejection', watch);
      for (const listener of earlier) process.on('unhandledRejection', listener);
    }
  });
});
