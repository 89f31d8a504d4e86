import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

import { CommandError } from './exit-codes.ts';

const MAX_PASSWORD_CHARACTERS = 1023;

/** Where a new password comes from. Never from an argument: arguments are visible to every user of the machine. */
export interface PasswordSource {
  readonly generate: boolean;
  readonly fromStandardInput: boolean;
}

/** Asks for a new password, twice and without echo on a terminal; reads one line of standard input otherwise. */
export async function readNewPassword({ generate, fromStandardInput }: PasswordSource): Promise<string> {
  if (generate) return randomBytes(15).toString('base64url');
  if (fromStandardInput || !process.stdin.isTTY) return checked(await readLine());
  const password = checked(await prompt('Password: '));
  if ((await prompt('Again: ')) !== password) throw new CommandError('usage', 'the two passwords differ');
  return password;
}

async function readLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    lines.close();
    return line;
  }
  throw new CommandError('usage', 'standard input holds no password');
}

function prompt(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((resolve, reject) => {
    lines.on('SIGINT', () => reject(new CommandError('failed', 'interrupted')));
    lines.question('', (answer) => {
      lines.close();
      process.stderr.write('\n');
      resolve(answer);
    });
  });
}

function checked(password: string): string {
  if (password === '') throw new CommandError('usage', 'a password must not be empty');
  if (password.length > MAX_PASSWORD_CHARACTERS) throw new CommandError('usage', 'the password is too long');
  return password;
}
