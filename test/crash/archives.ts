import type { LogEntry } from '../../storage/log-entry.ts';
import type { Storage } from '../../storage/storage.ts';

/** What is in the archive of an account, oldest first, and the number that is its body. */
export async function* archived(
  { log }: Storage,
  owner: string,
): AsyncGenerator<LogEntry & { readonly index: number }> {
  for (let after: number | undefined; ;) {
    const page = await log.page(owner, { after, limit: 1000 });
    for (const entry of page) {
      if (entry.flags.archived) yield { ...entry, index: Number(/<body>(\d+)</.exec(entry.stanza)?.[1]) };
    }
    after = page.at(-1)?.position;
    if (after === undefined) return;
  }
}
