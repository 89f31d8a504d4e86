import { expect } from 'chai';
import { setStage } from '../../support/module-harness.ts';

const SESSION = `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>`;

describe('server/modules/session (RFC 3921 3)', () => {
  it('offers the session as optional', async () => {
    const stage = await setStage();
    expect(stage.streamFeatures()).to.include(
      `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>`,
    );
    await stage.strike();
  });

  for (const to of ['', `to='capulet.example'`]) {
    it(`answers a request to ${to === '' ? 'nobody' : 'the server'}`, async () => {
      const stage = await setStage();
      const juliet = await stage.enter('juliet@capulet.example/balcony');
      const answer = await juliet.ask(`<iq ${to} type='set' id='sess_1'>${SESSION}</iq>`);
      expect([answer.type, answer.content]).to.deep.equal(['result', '']);
      await stage.strike();
    });
  }
});
