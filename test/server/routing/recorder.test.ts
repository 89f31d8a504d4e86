import { expect } from 'chai';
import type { LogEntry } from '../../../storage/message-log.ts';
import { Stage, type Actor } from '../../support/core.ts';

const ROMEO = 'romeo@example.net';
const JULIET = 'juliet@example.com';
const ARCHIVED = { archived: true, pending: true, sent: false };
const SENT = { archived: true, pending: false, sent: true };

describe('the record of a message', () => {
  let stage: Stage;
  let juliet: Actor;
  let romeo: Actor;

  async function begin(environment: Record<string, string> = {}): Promise<void> {
    stage = await Stage.open([ROMEO, JULIET], { environment });
    juliet = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await juliet.enter();
    await romeo.enter();
  }

  const logOf = (owner: string): Promise<readonly LogEntry[]> => stage.storage.log.page(owner, { limit: 100 });
  const facts = ({ flags, peer, sequence }: LogEntry): unknown[] => [flags, peer, sequence];

  it('is in the logs of both sides, under one number and with what was sent', async () => {
    await begin();
    await juliet.send(`<message to='${ROMEO}' type='chat' id='a'><body>one</body></message>`);
    await romeo.send(`<message to='${JULIET}/balcony' type='chat'><body>two</body></message>`);
    expect((await logOf(JULIET)).map(facts)).to.deep.equal([
      [SENT, ROMEO, 1],
      [ARCHIVED, ROMEO, 2],
    ]);
    const entries = await logOf(ROMEO);
    expect(entries.map(facts)).to.deep.equal([
      [ARCHIVED, JULIET, 1],
      [SENT, JULIET, 2],
    ]);
    expect(entries[0]!.stanza).to.equal(
      `<message xmlns='jabber:client' to='${ROMEO}' from='${JULIET}/balcony' id='a' type='chat'><body>one</body></message>`,
    );
    expect((await logOf(JULIET))[0]!.stanza).to.equal(entries[0]!.stanza);
  });

  it('is one entry where the message is to oneself', async () => {
    await begin();
    await juliet.send(`<message to='${JULIET}' type='chat'><body>note</body></message>`);
    await juliet.send(`<message type='chat'><body>note</body></message>`);
    const both = { archived: true, pending: true, sent: true };
    expect((await logOf(JULIET)).map(facts)).to.deep.equal([
      [both, JULIET, 1],
      [both, JULIET, 2],
    ]);
    expect(juliet.take()).to.have.lengthOf(2);
  });

  it('precedes the way to another server, and keeps the order with what is not recorded', async () => {
    await begin();
    const sent = [
      `<message to='mercutio@example.org' type='chat'><body>one</body></message>`,
      `<message to='mercutio@example.org' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
      `<iq to='mercutio@example.org/a' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`,
      `<presence to='mercutio@example.org'/>`,
    ];
    for (const stanza of sent) stage.put(juliet.session, stanza);
    await stage.settle();
    expect(stage.takeAbroad().map((stanza) => /<body|<composing|<ping|<presence/.exec(stanza)?.[0])).to.deep.equal([
      '<body',
      '<composing',
      '<ping',
      '<presence',
    ]);
    expect((await logOf(JULIET)).map(facts)).to.deep.equal([[SENT, 'mercutio@example.org', 1]]);
    await stage.receive(`<message from='mercutio@example.org/a' to='${JULIET}' type='chat'><body>two</body></message>`);
    expect((await logOf(JULIET)).map(facts).at(-1)).to.deep.equal([ARCHIVED, 'mercutio@example.org', 2]);
  });

  it('is nowhere where the recipient refuses', async () => {
    await begin();
    await juliet.send(`<message to='nobody@example.net' type='chat'><body>one</body></message>`);
    await juliet.send(`<message to='${ROMEO}/tomb' type='normal'><body>two</body></message>`);
    expect(juliet.take().join('')).to.match(/(service-unavailable.*){2}/);
    expect(await logOf(JULIET)).to.deep.equal([]);
    expect(await logOf(ROMEO)).to.deep.equal([]);
  });

  it('is nowhere where the recipient is disabled or removed while the chat is looked up', async () => {
    await begin();
    stage.put(juliet.session, `<message to='${ROMEO}' type='chat'><body>one</body></message>`);
    romeo.session.account.state = 'disabled';
    await stage.settle();
    expect(juliet.take().join('')).to.include('service-unavailable');
    expect([...(await logOf(JULIET)), ...(await logOf(ROMEO))]).to.deep.equal([]);
    expect(await stage.storage.sequences.load(`${JULIET} ${ROMEO}`)).to.equal(0);
  });

  it('leaves the log once it is delivered where it is not archived, and only then', async () => {
    await begin();
    await juliet.send(`<message to='${ROMEO}' type='chat'><body>one</body></message>`);
    await juliet.send(
      `<message to='${ROMEO}' type='chat'><body>off the record</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>`,
    );
    expect((await logOf(ROMEO)).map(({ flags }) => flags.archived)).to.deep.equal([true, false]);
    expect((await logOf(JULIET)).map(facts)).to.deep.equal([[SENT, ROMEO, 1]]);
    await stage.core.table.saveCursors();
    expect(await logOf(ROMEO)).to.have.lengthOf(2);
    romeo.session.flushed(romeo.session.flushMark());
    await stage.core.table.saveCursors();
    expect((await logOf(ROMEO)).map(({ flags }) => flags.archived)).to.deep.equal([true]);
    const usage = await stage.storage.log.pendingUsage(ROMEO);
    expect(usage.count).to.equal(0);
  });

  it('does not have what was sent counted as waiting, nor read again when the account is loaded', async () => {
    await begin();
    for (const body of ['one', 'two']) {
      await juliet.send(`<message to='${ROMEO}' type='chat'><body>${body}</body></message>`);
    }
    await stage.core.table.saveCursors();
    const [last] = (await logOf(JULIET)).slice(-1);
    expect((await stage.storage.log.cursors(JULIET)).cursor).to.equal(last!.position);
  });

  it('is left out with messages.history off, except for who is away', async () => {
    await begin({ POSTHORN_MESSAGES_HISTORY: 'off' });
    await juliet.send(`<message to='${ROMEO}' type='chat'><body>one</body></message>`);
    await juliet.send(`<message to='mercutio@example.org' type='chat'><body>one</body></message>`);
    expect(await logOf(JULIET)).to.deep.equal([]);
    expect(await logOf(ROMEO)).to.deep.equal([]);
    expect(romeo.take().join('')).to.not.include('stanza-id');
    await romeo.leave();
    await juliet.send(`<message to='${ROMEO}' type='chat'><body>two</body></message>`);
    expect(await logOf(JULIET)).to.deep.equal([]);
    expect((await logOf(ROMEO)).map(({ flags }) => flags)).to.deep.equal([
      { archived: false, pending: true, sent: false },
    ]);
  });

  it('XEP-0359 3: takes away ids and numbers that claim to be ours, whoever wrote them, and leaves others', async () => {
    await begin();
    const forged =
      `<stanza-id xmlns='urn:xmpp:sid:0' by='ROMEO@example.net' id='f1'/><stanza-id xmlns='urn:xmpp:sid:0' by='${JULIET}' id='f2'/>` +
      `<sequence xmlns='urn:posthorn:sequence:0' by='example.net' chat='x' n='9'/><stanza-id xmlns='urn:xmpp:sid:0' by='room@example.org' id='kept'/>`;
    await juliet.send(`<message to='${ROMEO}' type='chat'><body>one</body>${forged}</message>`);
    await juliet.send(`<message to='mercutio@example.org' type='chat'><body>one</body>${forged}</message>`);
    await stage.receive(
      `<message from='mercutio@example.org/a' to='${ROMEO}' type='chat'><body>two</body>${forged}</message>`,
    );
    const [first, second, ...more] = [...romeo.take(), ...stage.takeAbroad()];
    for (const stanza of [first, second, ...more]) {
      expect(stanza)
        .to.include(`id='kept'`)
        .and.not.match(/id='f\d'|n='9'/);
    }
    expect(first).to.match(/by='romeo@example.net' id='[\w-]{22}'/);
  });
});
