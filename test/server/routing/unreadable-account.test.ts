import { expect } from 'chai';
import { Stage } from '../../support/core.ts';
import { TroubledStore } from '../../support/troubled-store.ts';

describe('an account the store cannot read', () => {
  it('is answered for with a request to wait, and is there again once it can be read', async () => {
    const store = new TroubledStore();
    const stage = await Stage.open(['juliet@example.com', 'romeo@example.net'], { store });
    const juliet = await stage.actor('juliet@example.com/balcony');
    store.isUnreadable = true;
    await juliet.send(`<message to='romeo@example.net' type='chat' id='m'><body>one</body></message>`);
    const [error] = juliet.take();
    expect(error).to.include(`type='error'`).and.include(`<resource-constraint `).and.include(`type='wait'`);
    store.isUnreadable = false;
    await stage.settle();
    await juliet.send(`<message to='romeo@example.net' type='chat' id='n'><body>two</body></message>`);
    expect(juliet.take()).to.deep.equal([]);
    const romeo = await stage.actor('romeo@example.net/orchard');
    await romeo.send('<presence/>');
    expect(romeo.take().join('')).to.include('two').and.not.include('one');
  });
});
