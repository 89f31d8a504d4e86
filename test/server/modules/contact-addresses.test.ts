import { expect } from 'chai';
import { NS } from '../../../stanzas/namespaces.ts';
import { setStage } from '../../support/module-harness.ts';

const ASK = `<iq to='capulet.example' id='disco1' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`;

describe('server/modules/contact-addresses (XEP-0157)', () => {
  it('Example 2: lists the configured addresses, and no field without any', async () => {
    const stage = await setStage({
      POSTHORN_CONTACTS_ABUSE: 'mailto:abuse@capulet.example,xmpp:abuse@capulet.example',
      POSTHORN_CONTACTS_STATUS: 'https://status.capulet.example',
    });
    const juliet = await stage.enter('juliet@capulet.example/chamber');
    const form = (await juliet.answerTo(ASK)).child('x', NS.DATA_FORM);
    expect(form?.toBytes()).to.equal(
      `<x xmlns='jabber:x:data' type='result'>` +
        `<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>` +
        `<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@capulet.example</value>` +
        `<value>xmpp:abuse@capulet.example</value></field>` +
        `<field var='status-addresses' type='list-multi'><value>https://status.capulet.example</value></field></x>`,
    );
    await stage.strike();
  });

  it('adds no form where nothing is configured', async () => {
    const stage = await setStage();
    const juliet = await stage.enter('juliet@capulet.example/chamber');
    expect((await juliet.answerTo(ASK)).child('x', NS.DATA_FORM)).to.equal(undefined);
    await stage.strike();
  });
});
