import type { Endpoint } from './client-connection.ts';

/** Latencies of a run, in milliseconds. */
export interface Latencies {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What the load generator does on demand: its parameters and what it answers. */
export interface LoadCommands {
  /** Logs users `from` to `from + count - 1` in, `atOnce` at a time, and keeps them connected. */
  open: {
    parameters: { endpoint: Endpoint; from: number; count: number; atOnce: number; arrives: boolean };
    result: { seconds: number; tlsVersion: string | null };
  };
  /** Breaks every connection. */
  reset: { parameters: object; result: object };
  /** Has connections 2n write to 2n+1, `window` messages on their way in each pair, until `endChat`. */
  startChat: { parameters: { pairs: number; window: number }; result: object };
  /** How far the chat is. */
  readChat: { parameters: object; result: { delivered: number; atMs: number; processorUs: number } };
  /** Sends no more and waits for what is on its way. */
  endChat: { parameters: object; result: { delivered: number } };
  /** Sends `perSecond` messages over `pairs` pairs at their times, whatever comes back; latencies count from those times. */
  sendOnTime: {
    parameters: { pairs: number; perSecond: number; warmUpSeconds: number; seconds: number };
    result: Latencies;
  };
  /** Logs in and out, `atOnce` at a time, users 0 to `users - 1` in turn. */
  logIn: {
    parameters: { endpoint: Endpoint; users: number; count: number; atOnce: number; isResuming: boolean };
    result: { seconds: number; resumed: number; processorUs: number };
  };
  /** Breaks every connection and has all come back at once. */
  storm: { parameters: { endpoint: Endpoint }; result: { seconds: number } };
  /** Has connection 0 send `each` messages to users who are away, and waits until the server has answered a ping after them. */
  storeOffline: {
    parameters: { from: number; users: number; each: number };
    result: { seconds: number };
  };
  /** Has those users arrive, `atOnce` at a time, and waits until each has all its messages. */
  flushOffline: {
    parameters: { endpoint: Endpoint; from: number; users: number; each: number; atOnce: number };
    result: { seconds: number };
  };
  /** Has a user who is not connected and those of connections `from` to `from + count - 1` become contacts. */
  befriend: { parameters: { endpoint: Endpoint; user: number; from: number; count: number }; result: object };
  /** Has a user with so many online contacts log in, send presence, see all of theirs and leave, again and again. */
  comeAndGo: {
    parameters: { endpoint: Endpoint; user: number; count: number; contacts: number };
    result: { medianMs: number };
  };
  /** Has connection 0 send about so many messages to connection 1, fewer where it takes too long. */
  exchange: {
    parameters: { window: number; messages: number; timeoutSeconds: number };
    result: { delivered: number };
  };
  /** Has connection 1 ask for the last page of its archive, again and again, at least once. */
  readLastPages: {
    parameters: { count: number; archived: number; timeoutSeconds: number };
    result: { pages: number; medianMs: number };
  };
}

export type LoadCommand = keyof LoadCommands;

/** What goes to the load generator. */
export interface LoadRequest<Name extends LoadCommand = LoadCommand> {
  readonly id: number;
  readonly name: Name;
  readonly parameters: LoadCommands[Name]['parameters'];
}

/** What comes back. */
export interface LoadResponse {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}
