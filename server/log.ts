import { pino, type DestinationStream } from 'pino';

import { linesForPeople } from './log-lines.ts';

/** Structured facts about an event. Never a password, key, token or the body of a message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The log as everybody below `main` sees it. */
export interface Log {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * Opens the log, on standard error unless a destination is given: one JSON object a line, time in ISO 8601; lines for
 * people where that is a terminal.
 */
export function openLog(options: { level: LogLevel; destination?: DestinationStream }): Log {
  const settings = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    // A second line of defence: the first is that nobody passes these in.
    redact: {
      paths: ['password', '*.password', 'credentials', '*.credentials', 'secret', '*.secret'],
      censor: '[removed]',
    },
  };
  return pino(settings, options.destination ?? standardError());
}

function standardError(): DestinationStream {
  return process.stderr.isTTY ? linesForPeople((text) => process.stderr.write(text)) : pino.destination({ fd: 2 });
}
