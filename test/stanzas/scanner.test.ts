import { expect } from 'chai';
import { otherAttribute, type Frame, type StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scanner, scanDocument } from '../../stanzas/scanner.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import { frameOf, framesOf, HEADER, hear, hearAll, LIMITS } from './scanner-events.ts';

/** A child as the tests speak of it: its expanded name and its bytes. */
function childrenOf(frame: Frame): string[][] {
  return frame.children.map(({ name, namespace, start, end }) => [name, namespace, frame.content.slice(start, end)]);
}

describe('Scanner', () => {
  describe('stream headers (RFC 6120 4.7)', () => {
    it('reports the attributes of the header, decoded', () => {
      const { headers } = hearAll(
        "<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to=\"im&#46;example.com\" id='&lt;é' " +
          "version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
      );
      expect(headers).to.deep.equal([
        {
          contentNamespace: 'jabber:client',
          from: 'juliet@im.example.com',
          to: 'im.example.com',
          id: '<é',
          version: '1.0',
          lang: 'en',
        },
      ]);
    });

    it('reports what is absent as undefined', () => {
      const { headers } = hearAll(`<stream:stream xmlns='jabber:server' xmlns:stream='${NS.STREAMS}'>`);
      const absent = { from: undefined, to: undefined, id: undefined, version: undefined, lang: undefined };
      expect(headers).to.deep.equal([{ contentNamespace: 'jabber:server', ...absent }]);
    });

    it('takes attributes of other namespaces for what they are', () => {
      const { headers } = hearAll(
        `<stream:stream xmlns:a='urn:a' a:to='wrong' a:lang='wrong' xmlns='jabber:client' xmlns:stream='${NS.STREAMS}'>`,
      );
      expect(headers[0]).to.include({ to: undefined, lang: undefined });
    });

    it('understands prefix-free canonicalization (RFC 6120 4.8.2)', () => {
      const { headers, frames, closings } = hearAll(
        `<stream to='im.example.com' version='1.0' xmlns='${NS.STREAMS}'>` +
          "<message xmlns='jabber:client'><body>foo</body></message><features/></stream>",
      );
      expect(headers.map(({ contentNamespace }) => contentNamespace)).to.deep.equal(['']);
      expect(frames.map(({ name, namespace }) => [name, namespace])).to.deep.equal([
        ['message', 'jabber:client'],
        ['features', NS.STREAMS],
      ]);
      expect(childrenOf(frames[0]!)).to.deep.equal([['body', 'jabber:client', '<body>foo</body>']]);
      expect(closings).to.equal(1);
    });

    it('opens and closes a stream whose header is an empty element', () => {
      const { headers, closings, condition } = hearAll(`${HEADER.slice(0, -1)}/> `);
      expect([headers.length, closings, condition]).to.deep.equal([1, 1, undefined]);
    });
  });

  describe('frames', () => {
    it('hold the common attributes as text, and the content as it came', () => {
      const content = "<body>Wherefore art thou, Romeo?</body><active xmlns='http://jabber.org/protocol/chatstates'/>";
      const message =
        `<message to='romeo@montague.example' from="juliet@capulet.example/balcony" id='ju2ba41c' type='chat' ` +
        `xml:lang='en'>${content}</message>`;
      expect(frameOf(message)).to.deep.equal({
        name: 'message',
        namespace: 'jabber:client',
        to: 'romeo@montague.example',
        from: 'juliet@capulet.example/balcony',
        id: 'ju2ba41c',
        type: 'chat',
        lang: 'en',
        others: '',
        content,
        children: [
          { name: 'body', namespace: 'jabber:client', start: 0, end: 39 },
          { name: 'active', namespace: 'http://jabber.org/protocol/chatstates', start: 39, end: content.length },
        ],
        rest: undefined,
        byteLength: message.length,
      });
    });

    it('say where each goes, also where the last went elsewhere', () => {
      const long = `romeo@montague.example/${'o'.repeat(100)}`;
      const all = [
        'romeo',
        'romeo',
        'nurse',
        'romeo',
        'rome',
        '',
        'r&amp;o',
        long,
        long,
        `${long}s`,
        'romeo',
        'r\u2665',
        'r\u2665',
      ];
      const messages = all.map((to) => `<message to='${to}'><body/></message>`).join('');
      const expected = all.map((to) => to.replace('&amp;', '&'));
      expect(framesOf(messages).map(({ to }) => to)).to.deep.equal(expected);
    });

    it('of messages keep everything behind the name where that can stand behind another sender as it is', () => {
      const others = `  to="romeo@montague.example"\tid='1&apos;' xmlns:a='urn:a' a:b='"'`.replace('&apos;', '');
      for (const rest of [
        ` to='r'><body/></message>`,
        ` to='r' ><body>&amp;\u2665</body></message >`,
        `${others}>.</message>`,
      ]) {
        expect(frameOf(`<message${rest}`).rest, rest).to.equal(Buffer.from(rest).toString('latin1'));
      }
      for (const [reason, message] of [
        ['a sender', `<message from='r'>.</message>`],
        ['a namespace', `<message xmlns='jabber:client'>.</message>`],
        ['a reference', `<message id='&amp;'>.</message>`],
        ['a line end', `<message id='\n'>.</message>`],
        ['another character', `<message id='\u2665'>.</message>`],
        ['nothing in it', `<message to='r'></message>`],
        ['nothing in it', `<message to='r'/>`],
        ['no attribute', `<message>.</message>`],
        ['much in it', `<message to='r'>${'.'.repeat(4096)}</message>`],
        ['another name', `<presence to='r'>.</presence>`],
      ] as const) {
        expect(frameOf(message).rest, reason).to.equal(undefined);
      }
    });

    it('of an empty element have no content', () => {
      const { content, children, byteLength } = frameOf('<presence/>');
      expect([content, children, byteLength]).to.deep.equal(['', [], 11]);
      expect(frameOf('<presence></presence>').content).to.equal('');
    });

    it('come from a stream between servers in its namespace', () => {
      const { frames } = hearAll(`<stream:stream xmlns='jabber:server' xmlns:stream='${NS.STREAMS}'><iq><a/></iq>`);
      expect(frames[0]).to.include({ name: 'iq', namespace: 'jabber:server' });
      expect(frames[0]?.children[0]).to.include({ name: 'a', namespace: 'jabber:server' });
    });

    it('decode references, line ends and UTF-8 in attributes', () => {
      const { id, to, type } = frameOf("<iq id='&#x1F339;&amp;&quot;' to='&gt;\t\r\n\né' type='r&#233;sult'/>");
      expect([id, to, type]).to.deep.equal(['🌹&"', '>   é', 'résult']);
    });

    it('keep text beyond ASCII as bytes, and count bytes', () => {
      const { content, byteLength } = frameOf('<m>🌹 é</m>');
      expect(content).to.equal(Buffer.from('🌹 é').toString('latin1'));
      expect(byteLength).to.equal(Buffer.byteLength('<m>🌹 é</m>'));
    });

    it('decode names beyond ASCII', () => {
      const { name, children } = frameOf("<роза шип='1'><é/></роза>");
      expect([name, children[0]?.name]).to.deep.equal(['роза', 'é']);
    });

    it('keep other attributes raw, each behind one space, the default namespace never', () => {
      const { others } = frameOf(
        "<a  h = '&#51;'\n xmlns='urn:xmpp:sm:3' previd\t=\"it's\" to='x'\r\nxmlns:p='urn:p' p:to='y' xml:space='default'/>",
      );
      expect(others).to.equal(` h='&#51;' previd="it's" xmlns:p='urn:p' p:to='y' xml:space='default'`);
      expect(otherAttribute({ others }, 'h')).to.equal('3');
      expect(otherAttribute({ others }, 'previd')).to.equal("it's");
      expect(otherAttribute({ others }, 'p:to')).to.equal('y');
      expect(otherAttribute({ others }, 'to')).to.equal(undefined);
    });
  });

  describe('children', () => {
    it('are the direct ones only, in order, whatever is between them', () => {
      const frame = frameOf('<iq>a<b><c/><b>x</b></b> &amp; <![CDATA[<d/>]]><e />\n<b></b ></iq>');
      expect(childrenOf(frame)).to.deep.equal([
        ['b', 'jabber:client', '<b><c/><b>x</b></b>'],
        ['e', 'jabber:client', '<e />'],
        ['b', 'jabber:client', '<b></b >'],
      ]);
    });

    it('have the namespace they declare, or the one they inherit', () => {
      const frame = frameOf(
        `<q xmlns='urn:q'><a/><b xmlns='urn:b'><c/></b><d xmlns="urn:xmpp:receipts"/><e xmlns=''/><f xmlns='u&#58;f'/></q>`,
      );
      expect(frame).to.include({ name: 'q', namespace: 'urn:q' });
      expect(frame.children.map(({ name, namespace }) => `${name} ${namespace}`)).to.deep.equal([
        'a urn:q',
        'b urn:b',
        'd urn:xmpp:receipts',
        'e ',
        'f u:f',
      ]);
    });

    it('may have prefixes, which they or the root declare', () => {
      const frame = frameOf(
        "<q xmlns:p='urn:p'><p:a/><p:b xmlns:p='urn:other'/><p:c/><n:d xmlns:n='urn:n' xmlns='urn:x'/><xml:e/></q>",
      );
      expect(frame.children.map(({ name, namespace }) => `${name} ${namespace}`)).to.deep.equal([
        'a urn:p',
        'b urn:other',
        'c urn:p',
        'd urn:n',
        `e ${NS.XML}`,
      ]);
    });

    it('inherit the default namespace around a prefixed root, not its own', () => {
      const frame = frameOf("<p:q xmlns:p='urn:p'><a/></p:q>");
      expect([frame.name, frame.namespace]).to.deep.equal(['q', 'urn:p']);
      expect(childrenOf(frame)).to.deep.equal([['a', 'jabber:client', '<a/>']]);
    });

    it('are found behind text of any bytes', () => {
      const frame = frameOf('<m>🌹<a/>é]]<b/>]]&gt;<c/></m>');
      expect(childrenOf(frame).map(([, , bytes]) => bytes)).to.deep.equal(['<a/>', '<b/>', '<c/>']);
    });
  });

  describe('prefixes of the header (RFC 6120 4.8.5)', () => {
    it('name stream errors and features', () => {
      const frames = framesOf(
        `<stream:features><a xmlns='urn:a'/></stream:features><stream:error to='x'><reset xmlns='${NS.STREAM_ERRORS}'/></stream:error>`,
      );
      expect(frames.map(({ name, namespace }) => [name, namespace])).to.deep.equal([
        ['features', NS.STREAMS],
        ['error', NS.STREAMS],
      ]);
    });

    it('name dialback elements, as XEP-0220 demands', () => {
      const { frames, condition } = hearAll(
        `<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='${NS.STREAMS}'>` +
          "<db:result from='capulet.example' to='montague.example'>b4835385f37fe2895af6c196b59097b16862406d</db:result>",
      );
      expect(condition).to.equal(undefined);
      expect(frames[0]).to.include({ name: 'result', namespace: 'jabber:server:dialback', to: 'montague.example' });
    });
  });

  it('hears the stream close in either spelling of the end tag', () => {
    for (const end of ['</stream:stream>', '</stream:stream\n >']) {
      expect(hearAll(`${HEADER}<presence/>${end}`)).to.include({ closings: 1, condition: undefined });
    }
  });

  describe('a sink that stops the scan', () => {
    const sink = { streamOpened: () => false, elementScanned: () => false, streamClosed: () => false };

    it('stops it right behind what it heard', () => {
      const scanner = new Scanner(LIMITS);
      const parts = [`<?xml version='1.0'?>${HEADER}`, '<a/>', ' <b>x</b>', '</stream:stream>'];
      const chunk = Buffer.from(parts.join('') + '\n');
      let at = 0;
      for (const part of parts) {
        expect(scanner.scan(chunk, sink, at)).to.equal(at + part.length);
        at += part.length;
      }
      expect(scanner.scan(chunk, sink, at)).to.equal(chunk.length);
    });

    it('stops it behind an element that an earlier chunk began', () => {
      const scanner = new Scanner(LIMITS);
      scanner.scan(Buffer.from(HEADER), sink);
      scanner.scan(Buffer.from('<message><bo'), sink);
      expect(scanner.scan(Buffer.from('dy/></message><message/>'), sink)).to.equal('dy/></message>'.length);
    });

    it('stops it between the header and the end of an empty stream', () => {
      const scanner = new Scanner(LIMITS);
      const chunk = Buffer.from(`${HEADER.slice(0, -1)}/>`);
      let closings = 0;
      const at = scanner.scan(chunk, sink);
      expect(closings).to.equal(0);
      expect(at).to.be.lessThan(chunk.length);
      const counting = { ...sink, streamClosed: () => ++closings > 0 };
      expect(scanner.scan(chunk, counting, at)).to.equal(chunk.length);
      expect(closings).to.equal(1);
    });
  });

  describe('reset (RFC 6120 4.3.3)', () => {
    it('expects a new stream, also when called while an element is heard', () => {
      const headers: StreamHeader[] = [];
      const frames: Frame[] = [];
      const scanner = new Scanner(LIMITS);
      const sink = {
        streamOpened: (header: StreamHeader) => headers.push(header) > 0,
        elementScanned: (frame: Frame) => {
          frames.push(frame);
          if (frame.name === 'auth') scanner.reset();
          return true;
        },
        streamClosed: () => true,
      };
      const server = HEADER.replace('jabber:client', 'jabber:server');
      scanner.scan(Buffer.from(`${HEADER}<auth/><?xml version='1.0'?>${server}<iq/>`), sink);
      expect(headers.map(({ contentNamespace }) => contentNamespace)).to.deep.equal(['jabber:client', 'jabber:server']);
      expect(frames.map(({ namespace }) => namespace)).to.deep.equal(['jabber:client', 'jabber:server']);
    });

    it('forgets half an element and the prefixes of the header', () => {
      const conditions: (string | undefined)[] = [];
      for (const rest of [HEADER, "<a xmlns='urn:a'/>", `<stream xmlns='${NS.STREAMS}'><stream:a/>`]) {
        const scanner = new Scanner(LIMITS);
        const sink = { streamOpened: () => true, elementScanned: () => true, streamClosed: () => true };
        scanner.scan(Buffer.from(`${HEADER}<message>`), sink);
        scanner.reset();
        expect(scanner.midElement).to.equal(false);
        try {
          scanner.scan(Buffer.from(rest), sink);
          conditions.push(undefined);
        } catch (error) {
          conditions.push(error instanceof StreamError ? error.condition : String(error));
        }
      }
      expect(conditions).to.deep.equal([undefined, 'invalid-namespace', 'not-well-formed']);
    });
  });

  it('takes new limits for the next element', () => {
    const scanner = new Scanner({ ...LIMITS, maxBytes: 200 });
    let frames = 0;
    const sink = { streamOpened: () => true, elementScanned: () => ++frames > 0, streamClosed: () => true };
    scanner.scan(Buffer.from(HEADER), sink);
    scanner.setLimits({ ...LIMITS, maxBytes: 1000 });
    scanner.scan(Buffer.from(`<a>${'x'.repeat(500)}</a>`), sink);
    expect(frames).to.equal(1);
    scanner.setLimits({ ...LIMITS, maxBytes: 50 });
    expect(() => scanner.scan(Buffer.from(`<a>${'x'.repeat(500)}</a>`), sink)).to.throw(
      StreamError,
      'policy-violation',
    );
  });

  it('knows whether it is inside an element', () => {
    const scanner = new Scanner(LIMITS);
    const sink = { streamOpened: () => true, elementScanned: () => true, streamClosed: () => true };
    const inside: boolean[] = [];
    for (const chunk of ['<', HEADER.slice(1), ' ', '<', 'a', '>x', '</a>', '\n', '</stream:', 'stream>']) {
      scanner.scan(Buffer.from(chunk), sink);
      inside.push(scanner.midElement);
    }
    expect(inside).to.deep.equal([true, false, false, true, true, true, false, false, true, false]);
  });

  it('leaves the chunk as it was and keeps none of it', () => {
    // `hear` spoils each chunk once it is scanned: a frame that were a view of it would be spoilt too
    const message = `<message id='${'i'.repeat(30)}'><body>${'y'.repeat(100)}</body></message>`;
    const { frames } = hear([
      Buffer.from(HEADER),
      Buffer.from(message.slice(0, 60)),
      Buffer.from(message.slice(60) + message),
    ]);
    expect(frames.map(({ id, content }) => [id, content])).to.deep.equal(
      Array.from({ length: 2 }, () => ['i'.repeat(30), `<body>${'y'.repeat(100)}</body>`]),
    );
  });

  it('takes an offset', () => {
    const scanner = new Scanner(LIMITS);
    const sink = { streamOpened: () => true, elementScanned: () => true, streamClosed: () => true };
    const chunk = Buffer.from(`!!!!${HEADER}`);
    expect(scanner.scan(chunk, sink, 4)).to.equal(chunk.length);
    expect(scanner.scan(chunk, sink, chunk.length)).to.equal(chunk.length);
  });
});

describe('scanDocument', () => {
  it('gives the frame of a whole element (RFC 7395 3.3.3)', () => {
    const document = "<message xmlns='jabber:client' xml:lang='en'><body>Parsable by itself.</body></message>";
    const frame = scanDocument(Buffer.from(document), LIMITS);
    expect(frame).to.include({ name: 'message', namespace: 'jabber:client', lang: 'en', byteLength: document.length });
    expect(childrenOf(frame)).to.deep.equal([['body', 'jabber:client', '<body>Parsable by itself.</body>']]);
  });

  it('has no default namespace but what is declared', () => {
    const frame = scanDocument(Buffer.from('<message><body/></message>'), LIMITS);
    expect([frame.namespace, frame.children[0]?.namespace]).to.deep.equal(['', '']);
  });

  it('counts the element only', () => {
    expect(scanDocument(Buffer.from("<?xml version='1.0'?> <a/>\n"), LIMITS).byteLength).to.equal(4);
  });

  it('takes a view into a larger buffer for what it is', () => {
    const pool = Buffer.from('<x><a><b/></a></x>');
    expect(scanDocument(pool.subarray(3, 14), LIMITS)).to.include({ name: 'a', content: '<b/>' });
  });
});
