import { expect } from 'chai';
import { fromServerContent, toServerContent } from '../../stanzas/content-namespace.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import type { Frame } from '../../stanzas/frame.ts';

const LIMITS = { maxBytes: 100_000, maxDepth: 50, maxAttributes: 50 };
const scan = (namespace: string, content: string): Frame =>
  scanDocument(Buffer.from(`<message xmlns='${namespace}'>${content}</message>`, 'latin1'), LIMITS);

describe('re-scoping between the content namespaces (RFC 6120 4.8.3)', () => {
  it('takes what inherits its namespace over as it is', () => {
    const frame = scan(NS.SERVER, `<body>Art thou not Romeo?</body><x xmlns='urn:x'><y/></x>`);
    const { content, children } = fromServerContent(frame);
    expect(content).to.equal(frame.content);
    expect(children.map(({ name, namespace }) => [name, namespace])).to.deep.equal([
      ['body', NS.CLIENT],
      ['x', 'urn:x'],
    ]);
    expect(toServerContent(content)).to.equal(content);
  });

  it('rewrites what declares jabber:server, embedded copies too, and keeps the table right', () => {
    const frame = scan(
      NS.SERVER,
      `<body xmlns="jabber:server">a</body><f xmlns='urn:f'><message xmlns='jabber:server'><body>b</body></message></f><z xmlns='urn:z'/>`,
    );
    const { content, children } = fromServerContent(frame);
    expect(content).to.equal(
      `<body xmlns="jabber:client">a</body><f xmlns='urn:f'><message xmlns='jabber:client'><body>b</body></message></f><z xmlns='urn:z'/>`,
    );
    expect(children.map((child) => content.slice(child.start, child.end))).to.deep.equal([
      `<body xmlns="jabber:client">a</body>`,
      `<f xmlns='urn:f'><message xmlns='jabber:client'><body>b</body></message></f>`,
      `<z xmlns='urn:z'/>`,
    ]);
  });

  it('does not let a reference hide the namespace', () => {
    const frame = scan(NS.SERVER, `<body xmlns='jabber&#58;server'>a</body>`);
    expect(fromServerContent(frame).content).to.equal(`<body xmlns='jabber:client'>a</body>`);
  });

  it('re-scopes the own children of a stanza for another server, and leaves embedded copies alone', () => {
    const content =
      `<body xmlns='jabber:client'>a</body><error><text xmlns = "jabber:client">t</text></error>` +
      `<f xmlns='urn:f'><message xmlns='jabber:client'><body>b</body></message></f>`;
    expect(toServerContent(content)).to.equal(
      `<body xmlns='jabber:server'>a</body><error><text xmlns = "jabber:server">t</text></error>` +
        `<f xmlns='urn:f'><message xmlns='jabber:client'><body>b</body></message></f>`,
    );
  });

  it('takes time in proportion to the length, whatever a stranger makes of it', () => {
    const room = { maxBytes: 2_000_000, maxDepth: 50, maxAttributes: 50 };
    const name = 'a'.repeat(300_000);
    const long = scanDocument(
      Buffer.from(`<message xmlns='${NS.SERVER}'><x xmlns='${NS.SERVER}'/><${name}/></message>`, 'latin1'),
      room,
    );
    expect(fromServerContent(long).content).to.equal(`<x xmlns='jabber:client'/><${name}/>`);
    const count = 40_000;
    const many = scanDocument(
      Buffer.from(`<message xmlns='${NS.SERVER}'>${`<x xmlns='${NS.SERVER}'/>`.repeat(count)}</message>`, 'latin1'),
      room,
    );
    const { content, children } = fromServerContent(many);
    const last = children.at(-1)!;
    expect(children).to.have.length(count);
    expect(content.slice(last.start, last.end)).to.equal(`<x xmlns='jabber:client'/>`);
  });

  it('touches no text, no other attribute and no CDATA', () => {
    for (const content of [
      `<body>&lt;x xmlns='jabber:client'></body>`,
      `<body>say xmlns='jabber:client' aloud</body>`,
      `<x xmlns='urn:x' a=" xmlns='jabber:client'"/>`,
      `<body><![CDATA[<x xmlns='jabber:client'>]]></body>`,
    ]) {
      expect(toServerContent(content)).to.equal(content);
    }
  });
});
