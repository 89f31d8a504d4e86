import { expect } from 'chai';
import { featuresOf, setStage } from '../../support/module-harness.ts';

describe('server/modules/offline (XEP-0160)', () => {
  it('Example 3: the server announces that it keeps messages', async () => {
    const stage = await setStage();
    const juliet = await stage.enter('juliet@capulet.example/chamber');
    const info = await juliet.answerTo(
      `<iq to='capulet.example' id='d1' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    );
    expect(featuresOf(info)).to.include('msgoffline');
    await stage.strike();
  });
});
