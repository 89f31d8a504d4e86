import { expect } from 'chai';
import { join } from 'node:path';

import { contactKey, positionKey } from '../../../storage/keys.ts';
import { openBackend, storageOver } from '../../../storage/storage.ts';
import { temporaryDirectory } from '../../storage/temporary-directory.ts';
import { TestClient } from '../../support/test-client.ts';
import { PosthornCommand } from '../../support/posthorn-command.ts';

describe('posthorn audit', function () {
  this.timeout(180_000); // each command is a process of its own, and the machine may be busy

  it('says of a message who was sent it and has not acknowledged it, while the server runs', async () => {
    const { path, remove } = await temporaryDirectory();
    const posthorn = new PosthornCommand(path, { POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true' });
    try {
      const server = await posthorn.start();
      await posthorn.run(['user', 'add', 'juliet', '--password-stdin'], 'pw\n');
      const juliet = await TestClient.connect(server.port('c2s'));
      await juliet.authenticate('juliet', 'pw');
      await juliet.bind('balcony');
      juliet.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/><presence/>`);
      await juliet.until(/<presence [^>]*>/);
      await posthorn.run(['send', 'juliet@localhost', 'Good night']);
      const id = /<stanza-id [^>]*id='([^']+)'/.exec(await juliet.until(/Good night.*?<\/message>/s))![1]!;
      const life = async (): Promise<string> => (await posthorn.run(['audit', 'message', 'juliet', id])).stdout;
      expect(await life()).to.include('sent to juliet@localhost/balcony, which is connected, and not acknowledged yet');
      juliet.destroy();
      const sessions = async () =>
        ((await posthorn.json('session', 'list')) as { sessions: { address: string }[] }).sessions;
      while ((await sessions())[0]?.address !== '') continue;
      expect(await life()).to.include('sent to juliet@localhost/balcony, which is away, and expected back');
      const again = await TestClient.connect(server.port('c2s'));
      await again.authenticate('juliet', 'pw');
      await again.bind('balcony'); // in place of the other
      again.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
      await again.until(/<enabled[^>]*>/);
      again.send('<presence/>');
      const taken = (await again.until(/Good night.*?<\/message>/s)).match(/<(presence|message|iq)[ >]/g) ?? [];
      again.send(`<a xmlns='urn:xmpp:sm:3' h='${taken.length}'/><r xmlns='urn:xmpp:sm:3'/>`);
      await again.until(/<a [^>]*>/);
      expect(await life()).to.include('server:     juliet@localhost has it');
      again.destroy();
    } finally {
      await posthorn.end();
      await remove();
    }
  });

  it('passes on a running server, finds what is missing on a stopped one, and mends what it can', async () => {
    const { path, remove } = await temporaryDirectory();
    const posthorn = new PosthornCommand(path);
    try {
      const server = await posthorn.start();
      await posthorn.run(['user', 'add', 'juliet', '--password-stdin'], 'pw\n');
      for (const body of ['one', 'two', 'three'])
        expect((await posthorn.run(['send', 'juliet@localhost', body])).status).to.equal(0);
      const sound = await posthorn.run(['audit']);
      expect(sound.status, sound.stderr).to.equal(0);
      expect(sound.stdout).to.include('1 chats: no fault');
      expect((await posthorn.run(['audit', '--repair'])).stderr).to.include('the server is running');
      await posthorn.run(['stop']);
      await server.exited;

      const store = await openBackend({ backend: 'level', directory: join(path, 'store'), durability: 'process' });
      const storage = storageOver(store);
      const [first, second] = await storage.log.page('juliet@localhost', { limit: 2 });
      if (first === undefined || second === undefined) throw new Error('the messages are not there');
      await storage.retention.usage('juliet@localhost'); // makes the rows
      const row = contactKey('juliet@localhost', 'localhost', first.position);
      await store.write([{ type: 'delete', key: row }]);
      await storage.close();
      const damaged = await posthorn.run(['audit', 'account', 'juliet']);
      expect(damaged.status).to.equal(1);
      expect(damaged.stdout).to.include(
        `index: juliet@localhost, chat with localhost, position ${first.position}: found`,
      );
      const mended = await posthorn.run(['audit', '--repair']);
      expect(mended.status, mended.stderr).to.equal(0);
      expect(mended.stdout).to.include('mended: index').and.to.include('1 records written').and.to.include('no fault');

      const message = await posthorn.run(['audit', 'message', 'juliet', String(first.position)]);
      expect(message.stdout).to.include('number 1').and.to.include('juliet@localhost at');
      const again = await openBackend({ backend: 'level', directory: join(path, 'store'), durability: 'process' });
      const gone = contactKey('juliet@localhost', 'localhost', second.position);
      await again.write([
        { type: 'delete', key: positionKey('log', 'juliet@localhost', second.position) },
        { type: 'delete', key: gone },
      ]);
      await again.close();
      const lost = await posthorn.run(['audit', 'chat', 'juliet@localhost', 'localhost', '--json']);
      expect(lost.status).to.equal(1);
      expect(JSON.parse(lost.stdout)).to.have.nested.property('described[0].number', 2);
    } finally {
      await posthorn.end();
      await remove();
    }
  });
});
