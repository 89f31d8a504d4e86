import type { AnyCommand } from '../command.ts';
import { backupBegin, backupProgress } from './backup.ts';
import { auditBegin, auditMessage, auditProgress } from './audits.ts';
import { archiveErase, archiveExport, archiveLimit, archiveShow } from './archives.ts';
import { componentList } from './components.ts';
import { inspect, pipeline, reload, send, sessionKick, sessionList, status, stop } from './running-server.ts';
import { s2sClose, s2sConnect, s2sList } from './server-streams.ts';
import { tokenList, tokenRevoke } from './tokens.ts';
import { userExport, userImport } from './user-transfer.ts';
import { userAdd, userDisable, userEnable, userList, userPasswd, userRemove, userShow } from './users.ts';

/** Every command that may be asked of the server, by name. */
export const COMMANDS: ReadonlyMap<string, AnyCommand> = new Map(
  [
    ...[status, inspect, stop, reload, pipeline],
    ...[userAdd, userPasswd, userDisable, userEnable, userRemove, userList, userShow, userImport, userExport],
    ...[sessionList, sessionKick, send, componentList],
    ...[tokenList, tokenRevoke],
    ...[backupBegin, backupProgress],
    ...[auditBegin, auditProgress, auditMessage],
    ...[archiveShow, archiveLimit, archiveErase, archiveExport],
    ...[s2sList, s2sConnect, s2sClose],
  ].map((command: AnyCommand) => [command.name, command]),
);
