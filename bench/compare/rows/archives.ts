import { endpointOf, untilIdle } from '../measurement.ts';
import { processorTime } from '../process-usage.ts';
import { HISTORY_PROCESS, type Row, type RowContext } from '../row.ts';

const PAGES = 50;
const PAGES_SECONDS = 20;
const CHAT_MESSAGES = 1000;
const WARM_UP_PAGES = 100;
const CHAT_WINDOW = 8;
const FILL_WINDOW = 64;

/** Chatting and reading as the archive grows. */
export const ARCHIVE_ROWS: readonly Row[] = [
  {
    id: 'archives',
    title: 'the last page and a chat, as the archive grows, plaintext, durability "process"',
    note:
      'one pair fills its archives; then the last 50 messages are asked for, up to 50 times, and 1 000 messages go between ' +
      'the two, 8 in flight; the first size finds a server that has just been started; -: the server did not archive that many in the time it had',
    setting: HISTORY_PROCESS,
    isFresh: true,
    rounds: ({ memoryRounds }) => memoryRounds,
    users: () => 2,
    figures: ({ archived }) =>
      archived.flatMap((count) => [
        { key: `pageMsAt${count}`, label: `page ms at ${count}`, better: 'less' as const },
        { key: `pageUsAt${count}`, label: `CPU us/page at ${count}`, better: 'less' as const },
        { key: `chatUsAt${count}`, label: `CPU us/message at ${count}`, better: 'less' as const },
      ]),
    goals: () => [],
    measure: async (context) => {
      const { server, load, scale } = context;
      const endpoint = endpointOf(server, 'plaintext');
      await load.run('open', { endpoint, from: 0, count: 2, atOnce: 1, arrives: true });
      const values: Record<string, number> = {};
      let archived = 0;
      for (const size of scale.archived) {
        if (archived < size) {
          const messages = size - archived;
          const fill = { window: FILL_WINDOW, messages, timeoutSeconds: scale.fillSeconds };
          archived += (await load.run('exchange', fill)).delivered;
          if (archived < size - FILL_WINDOW) break;
        }
        await untilIdle(server);
        const isFirst = size === scale.archived[0];
        if (isFirst) await load.run('readLastPages', { count: WARM_UP_PAGES, archived, timeoutSeconds: PAGES_SECONDS });
        const reading = { count: PAGES, archived, timeoutSeconds: PAGES_SECONDS };
        const [page, readUs] = await spentUs(context, () => load.run('readLastPages', reading));
        const exchange = { window: CHAT_WINDOW, messages: CHAT_MESSAGES, timeoutSeconds: scale.fillSeconds };
        const [chat, chatUs] = await spentUs(context, () => load.run('exchange', exchange));
        archived += chat.delivered;
        values[`pageMsAt${size}`] = page.medianMs;
        values[`pageUsAt${size}`] = readUs / page.pages;
        values[`chatUsAt${size}`] = chatUs / chat.delivered;
      }
      await load.run('reset', {});
      return values;
    },
  },
];

/** What a task answers, and the processor time it takes, what a server does later included. */
async function spentUs<Result>({ server }: RowContext, task: () => Promise<Result>): Promise<[Result, number]> {
  const before = processorTime(server.pid, 'paced');
  const result = await task();
  await untilIdle(server);
  return [result, processorTime(server.pid, 'paced').mainUs - before.mainUs];
}
