import { z } from 'zod';

const attributes = z.array(z.record(z.string(), z.string()));

/** What a client tells, one JSON object a line (the Python side of it is clients/line_protocol.py). */
export const clientEvent = z.discriminatedUnion('event', [
  /** The program runs and has its library. */
  z.object({ event: z.literal('ready') }),
  /** It has not: the Debian package that is missing. */
  z.object({ event: z.literal('missing'), package: z.string() }),
  z.object({ event: z.literal('online'), jid: z.string(), mechanism: z.string() }),
  /** It has a connection again, and on it the session that it had (XEP-0198). */
  z.object({ event: z.literal('resumed') }),
  /** The login, or the connection before it, came to nothing. */
  z.object({ event: z.literal('failed'), reason: z.string() }),
  z.object({
    event: z.literal('message'),
    sender: z.string(),
    type: z.string(),
    body: z.string(),
    /** The attributes of its `urn:posthorn:sequence:0` elements. */
    sequences: attributes,
    /** The attributes of its XEP-0203 elements. */
    delays: attributes,
  }),
  z.object({ event: z.literal('presence'), sender: z.string(), type: z.string(), status: z.string() }),
  z.object({ event: z.literal('roster-push'), jid: z.string(), subscription: z.string() }),
  z.object({ event: z.literal('result'), id: z.number(), value: z.unknown() }),
  z.object({ event: z.literal('error'), id: z.number(), reason: z.string() }),
  z.object({ event: z.literal('offline'), reason: z.string() }),
]);

export type ClientEvent = z.infer<typeof clientEvent>;
export type EventNamed<Name extends ClientEvent['event']> = Extract<ClientEvent, { event: Name }>;

export type Transport = 'starttls' | 'direct-tls' | 'websocket';

/** What a client is asked to do; it answers each with a `result` or an `error` of the same id. */
export type ClientCommand =
  | {
      readonly command: 'login';
      readonly jid: string;
      readonly password: string;
      readonly resource: string;
      readonly transport: Transport;
      readonly host: string;
      readonly port: number;
      /** For WebSocket. */
      readonly url: string;
      /** The only authority to trust. */
      readonly caFile: string;
      /** Whether it comes back by itself when the connection is cut. That fails nothing then. */
      readonly resumes: boolean;
    }
  | { readonly command: 'presence'; readonly type?: string; readonly to?: string; readonly status?: string }
  | { readonly command: 'chat'; readonly to: string; readonly bodies: readonly string[] }
  | { readonly command: 'roster-set'; readonly to: string; readonly name: string }
  | { readonly command: 'ping' | 'version' | 'disco-info'; readonly to: string }
  /** Answers with the id of the newest message in the archive (XEP-0313); tells all behind `after` as messages. */
  | { readonly command: 'archive'; readonly after?: string }
  | { readonly command: 'roster' | 'logout' };
