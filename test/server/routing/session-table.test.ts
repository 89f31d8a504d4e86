import { expect } from 'chai';
import { serverForTests } from '../../support/running-server.ts';
import { Stage } from '../../support/core.ts';
import { TroubledStore } from '../../support/troubled-store.ts';

describe('session table', () => {
  it('leaves no session on an account that is disabled while a login waits for it', async () => {
    const store = new TroubledStore();
    const play = await serverForTests({ store });
    try {
      const juliet = await play.authenticated('juliet');
      juliet.open();
      await juliet.until(/<\/stream:features>/);
      const release = store.stallReads();
      juliet.send(`<iq id='bind' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`);
      await store.asked();
      const changed = play.server.operations.accountChanged('juliet@localhost', 'disabled');
      release();
      await changed;
      await juliet.until(/<\/stream:stream>|type='error'/);
      expect(play.server.operations.sessions()).to.deep.equal([]);
    } finally {
      await play.stop();
    }
  });

  it('tells everybody of the end of a session, even if one of them fails', async () => {
    const stage = await Stage.open(['juliet@example.com']);
    const juliet = await stage.actor('juliet@example.com/balcony');
    const told: string[] = [];
    stage.core.table.onEnd(() => {
      told.push('fails');
      throw new Error('a defect');
    });
    stage.core.table.onEnd(() => told.push('hears'));
    await juliet.leave();
    expect(told).to.deep.equal(['fails', 'hears']);
  });
});
