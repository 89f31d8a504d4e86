// The part that is used here of two libraries: one has no types, those of the other want a browser's.

declare module '@xmpp/client' {
  export interface Element {
    readonly name: string;
    readonly attrs: Readonly<Record<string, string | undefined>>;
    is(name: string, namespace?: string): boolean;
    getChild(name: string, namespace?: string): Element | undefined;
    getChildren(name: string, namespace?: string): Element[];
    getChildText(name: string): string | null;
  }
  interface IqContext {
    readonly stanza: Element;
    readonly element: Element;
  }
  type IqHandler = (context: IqContext) => Element | object;
  export interface Client {
    readonly iqCaller: {
      get(payload: Element, to?: string): Promise<Element | undefined>;
      set(payload: Element, to?: string): Promise<Element | undefined>;
    };
    readonly iqCallee: {
      get(namespace: string, name: string, handler: IqHandler): void;
      set(namespace: string, name: string, handler: IqHandler): void;
    };
    on(event: 'error', listener: (error: Error) => void): void;
    on(event: 'online', listener: (jid: { toString(): string }) => void): void;
    on(event: 'stanza' | 'send', listener: (element: Element) => void): void;
    on(event: 'disconnect', listener: () => void): void;
    readonly reconnect: {
      /** Milliseconds. */
      delay: number;
    };
    readonly streamManagement: {
      /** What was sent and is not acknowledged. */
      outbound_q: { readonly stanza: Element; readonly stamp: string }[];
      on(event: 'ack', listener: (stanza: Element) => void): void;
      on(event: 'resumed', listener: () => void): void;
    };
    /** Resolves with the address when it is online. */
    start(): Promise<{ toString(): string }>;
    /** Resolves when both streams are closed. */
    stop(): Promise<unknown>;
    send(stanza: Element): Promise<void>;
  }
  export function client(options: {
    readonly service: string;
    readonly domain: string;
    readonly username: string;
    readonly password: string;
    readonly resource: string;
    /** Milliseconds for each step of a login. */
    readonly timeout: number;
  }): Client;
  export function xml(
    name: string,
    attributes?: string | Readonly<Record<string, string | undefined>>,
    ...children: (string | Element)[]
  ): Element;
}

declare module 'strophe.js' {
  export interface StropheElement {
    readonly tagName: string;
    readonly namespaceURI: string | null;
    readonly textContent: string | null;
    readonly childNodes: ArrayLike<StropheElement>;
    readonly attributes: ArrayLike<{ readonly name: string; readonly value: string }>;
    getAttribute(name: string): string | null;
  }
  export interface Builder {
    /** Adds a child and goes on inside it, unless it is given text. */
    c(name: string, attributes?: Readonly<Record<string, string>>, text?: string): Builder;
  }
  type Attributes = Readonly<Record<string, string>>;
  export function $iq(attributes: Attributes): Builder;
  export function $msg(attributes: Attributes): Builder;
  export function $pres(attributes: Attributes): Builder;
  export class Connection {
    constructor(url: string);
    readonly jid: string;
    xmlOutput: (element: StropheElement) => void;
    connect(jid: string, password: string, changed: (status: number, reason: string | null) => void): void;
    /** @param handler gives true to be called again */
    addHandler(
      handler: (stanza: StropheElement) => boolean,
      namespace: string | null,
      name: string,
      type?: string | null,
    ): void;
    send(stanza: Builder): void;
    sendIQ(stanza: Builder, answered: (iq: StropheElement) => void, refused: (iq: StropheElement | null) => void): void;
    disconnect(reason: string): void;
  }
  export const Strophe: {
    readonly Connection: typeof Connection;
    readonly Status: Readonly<
      Record<'ERROR' | 'CONNFAIL' | 'AUTHFAIL' | 'CONNECTED' | 'DISCONNECTED' | 'CONNTIMEOUT', number>
    >;
  };
}
