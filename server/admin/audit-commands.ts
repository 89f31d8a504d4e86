import type { Command as CommandLine } from 'commander';

import type { Config } from '../../config/options.ts';
import type { AuditState } from '../../storage/audit/audits.ts';
import {
  auditBegin,
  auditMessage,
  auditOptions,
  auditProgress,
  renderAudit,
  renderFinding,
  type AuditedPart,
} from './commands/audits.ts';
import { connectToServer } from './control-client.ts';
import { openExecutor } from './executor.ts';
import { CommandError, EXIT_CODES } from './exit-codes.ts';
import { openStoreOfStoppedServer } from './stopped-store.ts';
import type { LineContext } from './transfer-commands.ts';

const POLL_MS = 200;

/** Adds `audit`, `audit chat`, `audit account` and `audit message`. */
export function addAuditCommands(line: CommandLine, { config, isJson }: LineContext): void {
  const show = (state: AuditState): void => {
    process.stdout.write(`${isJson() ? JSON.stringify(state) : renderAudit(state)}\n`);
    if (state.findings > 0) process.exitCode = EXIT_CODES.failed;
  };
  const audit = line
    .command('audit')
    .description('prove that nothing is missing, doubled or out of order in the store; exit code 1 at any fault')
    .option('--repair', 'mend what follows from the messages, on a stopped server; no message is made or removed')
    .action(async ({ repair }: { repair?: boolean }) => {
      if (repair !== true) {
        show(await runAudit({}, config()));
        return;
      }
      const { mended, left } = await repairStore(config());
      if (!isJson()) {
        const lines = mended.map((finding) => `mended: ${renderFinding({ ...finding, isRepairable: false })}\n`);
        process.stdout.write(`${lines.join('')}${left.repaired} records written\n`);
        show(left);
        return;
      }
      process.stdout.write(`${JSON.stringify({ mended, left })}\n`);
      if (left.findings > 0) process.exitCode = EXIT_CODES.failed;
    });
  audit
    .command('chat')
    .argument('<jid>')
    .argument('<jid>')
    .description('only the chat of these two')
    .action(async (one: string, other: string) => show(await runAudit({ chat: [one, other] }, config())));
  audit
    .command('account')
    .argument('<jid>')
    .description('only what an account owns, and its chats')
    .action(async (account: string) => show(await runAudit({ account }, config())));
  audit
    .command('message')
    .argument('<jid>', 'the account whose log has it')
    .argument('<id>', 'its position, its id in the archive, or the id of its stanza')
    .description(auditMessage.summary)
    .action(async (jid: string, message: string) => {
      const executor = await openExecutor(config(), auditMessage.needs);
      try {
        const life = await executor.run(auditMessage, { jid, message });
        process.stdout.write(`${isJson() ? JSON.stringify(life) : auditMessage.render(life)}\n`);
      } finally {
        await executor.close();
      }
    });
}

async function runAudit(part: AuditedPart, config: Config): Promise<AuditState> {
  const executor = await openExecutor(config, auditBegin.needs);
  try {
    let state = await executor.run(auditBegin, part);
    while (state.state === 'running') {
      if (process.stderr.isTTY) process.stderr.write(`\r${renderAudit(state)}\u001b[K`);
      await new Promise((wake) => setTimeout(wake, POLL_MS));
      state = await executor.run(auditProgress, {});
    }
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
    if (state.state === 'failed') throw new CommandError('failed', renderAudit(state));
    return state;
  } finally {
    await executor.close();
  }
}

async function repairStore(config: Config) {
  const running = await connectToServer(config.admin.controlSocket);
  running?.close();
  if (running !== undefined) throw new CommandError('failed', 'the server is running: stop it first (posthorn stop)');
  const storage = await openStoreOfStoppedServer(config);
  try {
    return await storage.audits.repair(auditOptions({}, config, Date.now()));
  } finally {
    await storage.close();
  }
}
