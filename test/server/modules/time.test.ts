import { expect } from 'chai';
import { setStage } from '../../support/module-harness.ts';

describe('server/modules/time (XEP-0202)', () => {
  it('Example 2: tells the time in UTC as XEP-0082 writes it', async () => {
    const stage = await setStage();
    const romeo = await stage.enter('romeo@montague.example/orchard');
    stage.clock.advance(((17 * 60 + 58) * 60 + 35) * 1000);
    const answer = await romeo.answerTo(
      `<iq type='get' to='capulet.example' id='time_1'><time xmlns='urn:xmpp:time'/></iq>`,
    );
    expect(answer.toBytes()).to.equal(
      `<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>1597-01-01T17:58:35.000Z</utc></time>`,
    );
    await stage.strike();
  });
});
