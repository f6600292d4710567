import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakeCli, Refuse, scriptedGateway } from '../../test/support/fake-cli-env.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'oc-cli-'));
  mkdirSync(join(dir, 'gateway'), { mode: 0o700 });
  writeFileSync(join(dir, 'gateway', 'admin.sock'), '');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A title, a screen that is cleared (7 and 8 bits), a line that is forged, a direction that is turned. */
const EVIL = '\u001b]0;pwned\u0007\u001b[2J\u009b2J\u0085\rok\u202eabc\u2066';
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/** Every text of an answer, and every key that is not asked for by name, ends with it. */
function evil(value: unknown): unknown {
  if (typeof value === 'string') return `${value}${EVIL}`;
  if (Array.isArray(value)) return value.map(evil);
  if (typeof value !== 'object' || value === null) return value;
  return { ...Object.fromEntries(Object.entries(value).map(([key, each]) => [key, evil(each)])), [`more${EVIL}`]: EVIL };
}

const device = {
  requestId: 'r1',
  deviceId: 'd1',
  displayName: 'mac',
  role: 'operator',
  roles: ['operator'],
  scopes: ['operator.read'],
  remoteIp: '::1',
  reason: 'not-paired',
  login: 'me',
  ts: 1,
};
const ANSWERS: Record<string, unknown> = {
  health: { ok: true, agents: [{ agentId: 'main', isDefault: true }], sessions: { count: 1, recent: [{ key: 'main', age: 1 }] } },
  status: {
    runtimeVersion: '1',
    pid: 1,
    gateway: {
      listen: { state: 'active', addresses: ['127.0.0.1'], port: 1 },
      warnings: [{ message: 'careful' }],
      exposure: { serve: { state: 'on', why: 'x', fix: 'y' } },
      model: { id: 'm' },
    },
  },
  'system-presence': [{ host: 'h', mode: 'cli', reason: 'connect' }],
  'device.pair.list': { pending: [device], paired: [{ ...device, tokens: [], approvedScopes: ['operator.read'] }] },
  'device.pair.approve': { requestId: 'r1' },
  'models.list': { models: [{ provider: 'p', id: 'm', name: 'n', input: ['text'] }] },
  'sessions.list': { sessions: [{ key: 'main', status: 'idle', label: 'l', model: 'm', modelProvider: 'p' }] },
  'sessions.preview': { previews: [{ key: 'main', status: 'ok', items: [{ role: 'user', text: 't' }] }] },
  'logs.tail': {
    file: '/l',
    cursor: 1,
    lines: ['{"level":"info","msg":"m","part":"p","more":"x"}', 'plain'],
    truncated: true,
    reset: true,
  },
  agent: { status: 'ok', result: { payloads: [{ text: 'answer' }] } },
};
// What the greeting says of itself is shown by `status`.
const HELLO = { type: 'hello-ok', protocol: EVIL, auth: { role: EVIL, scopes: [`operator.read${EVIL}`], method: EVIL } };
// A line of the log is JSON in itself: what it says, not how it is written, is what a gateway may choose.
const line = JSON.stringify(evil({ level: 'info', msg: 'm', part: 'p', more: 'x' }));
const SCRIPT = {
  connect: HELLO,
  ...(evil(ANSWERS) as Record<string, unknown>),
  'logs.tail': { ...(evil(ANSWERS['logs.tail']) as object), lines: [line, `plain ${EVIL}`] },
};

const COMMANDS = [
  ['health'],
  ['status'],
  ['status', '--deep'],
  ['devices', 'list'],
  ['devices', 'approve', '--latest'],
  ['sessions'],
  ['sessions', 'preview', 'main'],
  ['models'],
  ['logs'],
  ['logs', '--plain'],
  ['gateway', 'call', 'health'],
  ['gateway', 'status'],
  ['gateway', 'probe'],
  ['agent', '-m', 'hello'],
];

describe('CL-100 what a gateway says is text', () => {
  const said = async (script: Record<string, unknown>, argv: readonly string[]): Promise<string> => {
    const { openSocket } = scriptedGateway(script);
    const t = fakeCli({ openSocket, isTTY: true, vars: { OPENCLAW_STATE_DIR: dir, HOME: dir, NO_COLOR: '1' } });
    await t.run(...argv);
    return t.out() + t.err();
  };

  test.each(COMMANDS)('%s %s %s', async (...argv) => {
    for (const json of [[], ['--json']]) {
      const text = await said(SCRIPT, [...argv, ...json]);
      expect(CONTROL.exec(text)?.[0] ?? '', JSON.stringify(text)).toBe('');
    }
  });

  test.each(COMMANDS)('a refusal of %s %s %s', async (...argv) => {
    const details = { code: EVIL, fix: EVIL, requestId: EVIL, previousRequest: EVIL };
    const no = new Refuse({ code: `X${EVIL}`, message: EVIL, details } as never);
    for (const script of [
      Object.fromEntries(Object.keys(ANSWERS).map((method) => [method, no])),
      { ...SCRIPT, connect: no },
      { ...SCRIPT, agent: { status: EVIL } },
    ]) {
      for (const json of [[], ['--json']]) {
        const text = await said(script, [...argv, ...json]);
        expect(CONTROL.exec(text)?.[0] ?? '', JSON.stringify(text)).toBe('');
      }
    }
  });
});
