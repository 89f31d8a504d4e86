import { expect } from 'chai';
import { resultForm } from '../../../stanzas/data-form.ts';
import { verificationString } from '../../../server/services/capability-hash.ts';
import { Features } from '../../../server/services/features.ts';
import { elementOf, featuresOf, setStage, type Actor, type Stage } from '../../support/module-harness.ts';

const INFO = 'http://jabber.org/protocol/disco#info';

describe('server/modules/capabilities (XEP-0115)', () => {
  let stage: Stage;
  let juliet: Actor;

  beforeEach(async () => {
    stage = await setStage({ POSTHORN_CONTACTS_ABUSE: 'mailto:abuse@capulet.example' });
    juliet = await stage.enter('juliet@capulet.example/balcony');
  });
  afterEach(() => stage.strike());

  const told = () => {
    const c = stage.streamFeatures().find((feature) => feature.startsWith('<c '));
    return elementOf(c ?? '');
  };
  const ask = (node: string) =>
    `<iq to='capulet.example' id='disco1' type='get'><query xmlns='${INFO}' node='${node}'/></iq>`;
  const nodeOf = () => `${told().attribute('node') ?? ''}#${told().attribute('ver') ?? ''}`;

  it('6.3: the stream feature carries the hash of what disco#info answers, extensions included', async () => {
    const info = await juliet.answerTo(`<iq to='capulet.example' id='d' type='get'><query xmlns='${INFO}'/></iq>`);
    expect(info.childrenNamed('x', 'jabber:x:data')).to.have.length(1);
    expect(told().attribute('hash')).to.equal('sha-1');
    expect(told().attribute('ver')).to.equal(verificationString(info));
    expect(featuresOf(info)).to.include('http://jabber.org/protocol/caps');
  });

  it('6.2: the node is answered with the same description and repeated', async () => {
    const info = await juliet.answerTo(ask(nodeOf()));
    expect(info.attribute('node')).to.equal(nodeOf());
    expect(verificationString(info)).to.equal(told().attribute('ver'));
  });

  it('6.2: no other node is there', async () => {
    for (const node of [`${nodeOf()}x`, told().attribute('node') ?? '', 'http://code.google.com/p/exodus#x']) {
      expect(await juliet.refusalOf(ask(node)), node).to.equal('cancel item-not-found');
    }
  });

  it('5.1: the hash follows a form that changes, and features that are added', () => {
    const features = new Features();
    let form = resultForm('urn:example:weather', [{ name: 'sky', values: ['clear'] }]);
    features.addExtension(() => form);
    const clear = features.serverInfo();
    expect(features.serverInfo()).to.equal(clear);
    form = resultForm('urn:example:weather', [{ name: 'sky', values: ['cloudy'] }]);
    const cloudy = features.serverInfo();
    expect(verificationString(cloudy)).to.not.equal(verificationString(clear));
    features.addFeature('urn:example:balcony', ['server']);
    expect(featuresOf(features.serverInfo())).to.include('urn:example:balcony');
  });
});
