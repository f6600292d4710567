import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { AGENT_SCHEMA, createAgentStore } from './agent.ts';
import { EVENT_LOG_STEP, eventLog } from './event-log.ts';
import { openDatabase } from './open.ts';
import { SEARCHED, SESSION_LIST_STEP, trigrams } from './session-list.ts';
import { UNNAMED_SESSIONS_STEP } from './unnamed-sessions.ts';

const EARLIER = [EVENT_LOG_STEP, AGENT_SCHEMA];
const SCHEMAS = [...EARLIER, SESSION_LIST_STEP, UNNAMED_SESSIONS_STEP];

async function opened(schemas: readonly string[] = SCHEMAS, dir = tempDir()) {
  const result = await openDatabase(path.join(dir.path, 'db.sqlite'), { schemas });
  if (!result.ok) throw result.error;
  const db = result.value;
  return {
    db,
    dir,
    store: createAgentStore(db, eventLog(db)),
    async [Symbol.asyncDispose]() {
      await db.close();
      dir[Symbol.dispose]();
    },
  };
}
type Opened = Awaited<ReturnType<typeof opened>>;
interface Made {
  readonly key: string;
  readonly agentId: string;
  readonly label?: string | null;
  readonly title?: string | null;
  readonly at: number;
}
const put = ({ db }: Pick<Opened, 'db'>, sessions: readonly Made[]): Promise<void> =>
  db.write((tx) => {
    const insert = tx.prepare(
      'INSERT INTO sessions (key, session_id, agent_id, label, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    for (const { key, agentId, label, title, at } of sessions) insert.run(key, `id-${key}`, agentId, label ?? null, title ?? null, at, at);
  });
const keysOf = (page: { readonly sessions: readonly { readonly key: string }[] }): string[] => page.sessions.map(({ key }) => key);

describe('lists of sessions', () => {
  test('AG-113 any page of any list is what sorting all of them gives, and the totals are true', async () => {
    const made = fc.uniqueArray(
      fc.record({
        key: fc.stringMatching(/^[a-c]{1,4}$/),
        agentId: fc.constantFrom('main', 'other'),
        label: fc.constantFrom(null, 'x', 'y'),
        at: fc.integer({ min: 0, max: 5 }),
      }),
      { selector: ({ key }) => key, maxLength: 30 },
    );
    const query = fc.record(
      { agentId: fc.constantFrom('main', 'other', 'none'), label: fc.constantFrom('x', 'z'), activeSince: fc.integer({ min: 0, max: 6 }) },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(made, query, fc.nat(12), fc.nat(35), fc.nat(10), async (sessions, filter, limit, offset, gone) => {
        await using s = await opened();
        await put(s, sessions);
        const left = sessions.slice(gone);
        await s.db.write((tx) => {
          for (const { key } of sessions.slice(0, gone)) tx.prepare('DELETE FROM sessions WHERE key = ?').run(key);
        });
        const all = left
          .filter(({ agentId }) => filter.agentId === undefined || agentId === filter.agentId)
          .filter(({ label }) => filter.label === undefined || label === filter.label)
          .filter(({ at }) => filter.activeSince === undefined || at >= filter.activeSince)
          .sort((a, b) => b.at - a.at || (a.key < b.key ? -1 : 1));
        const page = s.store.sessions({ ...filter, limit, offset });
        expect(page.total).toBe(all.length);
        expect(keysOf(page)).toEqual(all.slice(offset, offset + limit).map(({ key }) => key));
      }),
      { numRuns: 60 },
    );
  }, 30_000);

  test('AG-113 no list, total, label or id is looked for by looking at all', async () => {
    await using s = await opened();
    const plans: string[] = [];
    const spied = createAgentStore(
      {
        ...s.db,
        prepare(sql) {
          if (!sql.startsWith('SELECT total_changes')) {
            const plan = s.db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...Array(sql.split('?').length - 1).fill(1)) as { detail: string }[];
            plans.push(...plan.map(({ detail }) => `${detail} | ${sql}`));
          }
          return s.db.prepare(sql);
        },
      },
      eventLog(s.db),
    );
    await put(
      s,
      Array.from({ length: 40 }, (_, n) => ({ key: `k${n}`, agentId: 'main', label: 'x', at: n })),
    );
    for (const offset of [0, 35])
      for (const filter of [{}, { agentId: 'main' }, { label: 'x' }, { activeSince: 3 }, { agentId: 'main', label: 'x', activeSince: 3 }])
        spied.sessions({ ...filter, limit: 3, offset });
    spied.keyOfLabel('x');
    spied.keyOfSessionId('x');
    spied.session('x');
    spied.run('x');
    spied.runText('x');
    expect(plans.length).toBeGreaterThan(20);
    for (const plan of plans) {
      expect(plan).not.toContain('TEMP B-TREE');
      // A page in the order of an index stops where the page does; the table of totals has a row per agent.
      if (plan.startsWith('SCAN')) expect(plan).toMatch(/^SCAN (sessions USING INDEX .*LIMIT \?|session_totals)/);
    }
  });
});

describe('search', () => {
  const texts = fc.oneof(
    fc.stringMatching(/^[abAB%_"'\\ *]{0,8}$/),
    fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => !text.includes('\0')),
  );
  const lower = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

  test('AG-114 what is found is what holds the text, whatever its characters are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(texts, texts, texts), { maxLength: 12 }), texts, fc.nat(10), async (rows, search, from) => {
        await using s = await opened();
        const made = rows.map(([key, label, title], n) => ({ key: `${key}${n}`, agentId: 'main', label, title, at: n }));
        await put(s, made);
        // Half of the searches are a piece of what is there.
        const source = made[from % Math.max(1, made.length)];
        for (const text of [search, source?.title.slice(1, 5) ?? '', source?.key.slice(0, 4) ?? '']) {
          if (text === '' || !text.isWellFormed()) continue;
          const held = made.filter(({ key, label, title }) => [key, label, title].some((each) => lower(each).includes(lower(text))));
          const page = s.store.sessions({ search: text, limit: 100 });
          expect(keysOf(page)).toEqual(held.map(({ key }) => key).reverse());
          expect(page.total).toBe(held.length);
        }
      }),
      { numRuns: 60 },
    );
  }, 30_000);

  test('AG-114 a title that changes, a session that goes: the index follows', async () => {
    await using s = await opened();
    await put(s, [{ key: 'one', agentId: 'main', title: 'a zebra', at: 1 }]);
    const find = (search: string): number => s.store.sessions({ search }).total;
    expect([find('zebra'), find('giraffe')]).toEqual([1, 0]);
    await s.db.write((tx) => void tx.prepare("UPDATE sessions SET title = 'a giraffe'").run());
    expect([find('zebra'), find('giraffe')]).toEqual([0, 1]);
    await s.db.write((tx) => void tx.prepare('DELETE FROM sessions').run());
    expect([find('zebra'), find('giraffe')]).toEqual([0, 0]);
    expect(s.db.prepare('SELECT count(*) AS n FROM session_text_ids').get()).toEqual({ n: 0 });
  });

  test('AG-114 a rare text is found wherever it is; of a common one the last used and the newest are looked at', async () => {
    await using s = await opened();
    const many = 2 * SEARCHED + 500;
    // The first made was used last.
    await put(
      s,
      Array.from({ length: many }, (_, n) => ({
        key: `agent:main:s${n}`,
        agentId: n % 2 ? 'main' : 'b',
        title: `common ${n}`,
        at: many - n,
      })),
    );
    await put(s, [{ key: 'agent:main:needle', agentId: 'main', title: 'common needle', at: -5 }]);
    expect(keysOf(s.store.sessions({ search: 'needle' }))).toEqual(['agent:main:needle']);
    expect(keysOf(s.store.sessions({ search: 'common 1234' }))).toEqual(['agent:main:s1234']);
    const common = s.store.sessions({ search: 'common', limit: 1 });
    expect(keysOf(common)).toEqual(['agent:main:s0']);
    expect(common.total).toBeGreaterThanOrEqual(SEARCHED);
    expect(common.total).toBeLessThan(many);
    expect(keysOf(s.store.sessions({ search: 'common', limit: 2_000 })).at(-1)).toBe('agent:main:needle');
    expect(s.store.sessions({ search: 'co' }).total).toBe(SEARCHED);
    expect(s.store.sessions({ search: 'nomatchatall' })).toEqual({ total: 0, sessions: [] });
    for (const search of ['\0', 'a\0b', '\ud800', '"', '""" OR "', 'x'.repeat(100_000)])
      expect(s.store.sessions({ search }).total).toBeLessThanOrEqual(many);
    expect(trigrams('hello')).toEqual(['hel', 'ell', 'llo']);
    expect(trigrams('x'.repeat(300))).toEqual(['xxx']);
    expect(trigrams('🦞🦞')).toEqual([]);
  });

  test('AG-114 20,000 sessions of an earlier version are indexed when the database opens', async () => {
    const dir = tempDir();
    const before = await opened(EARLIER, dir);
    await before.db.write((tx) => {
      const insert = tx.prepare(
        "INSERT INTO sessions (key, session_id, agent_id, title, created_at, updated_at) VALUES (?, ?, 'main', ?, ?, ?)",
      );
      for (let n = 0; n < 20_000; n++) insert.run(`agent:main:s${n}`, `id${n}`, `what people say, number ${n}`, n, n);
    });
    await before.db.close();
    const began = performance.now();
    await using s = await opened(SCHEMAS, dir);
    // Half a second on a machine that has nothing else to do.
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(s.store.sessions({ limit: 2, offset: 19_999 })).toMatchObject({ total: 20_000, sessions: [{ key: 'agent:main:s0' }] });
    expect(keysOf(s.store.sessions({ search: 'number 17' })).length).toBeGreaterThan(0);
    expect(keysOf(s.store.sessions({ search: 'number 12345' }))).toEqual(['agent:main:s12345']);
  }, 60_000);
});
