import { inspect } from 'node:util';
import type { DestinationStream } from 'pino';

/** Fields that every line has and that stand in front. */
const LEADING = new Set(['level', 'time', 'msg']);

/**
 * Turns the log's JSON into lines for a person at a terminal: `18:00:00 warn  text  name=value`. What is no JSON passes as
 * it is.
 */
export function linesForPeople(write: (text: string) => void): DestinationStream {
  return { write: (json) => write(lineOf(json)) };
}

function lineOf(json: string): string {
  let entry: unknown;
  try {
    entry = JSON.parse(json);
  } catch {
    return json;
  }
  if (typeof entry !== 'object' || entry === null) return json;
  const fields = new Map<string, unknown>(Object.entries(entry));
  const time = textOf(fields.get('time')).slice(11, 19);
  const rest = [...fields].filter(([name]) => !LEADING.has(name)).map(([name, value]) => `  ${name}=${textOf(value)}`);
  return `${time} ${textOf(fields.get('level')).padEnd(5)} ${textOf(fields.get('msg'))}${rest.join('')}\n`;
}

/** Strangers choose some of the text: nothing in it may steer the terminal. */
function textOf(value: unknown): string {
  const text = typeof value === 'string' ? value : inspect(value, { breakLength: Infinity });
  return Array.from(text, (character) => (isControl(character) ? escaped(character) : character)).join('');
}

function isControl(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code < 32 || (code >= 127 && code < 160);
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
