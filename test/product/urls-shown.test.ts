import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { productEnv, ROOT } from '../support/gateway.ts';

const SECRET = 'zQ8hTq27LmWv';
/** Port 9 of loopback: nobody listens. */
const URLS = [
  `ws://127.0.0.1:9/#token=${SECRET}`,
  `ws://127.0.0.1:9/?t=${SECRET}`,
  `ws://me:${SECRET}@127.0.0.1:9`,
  `http://127.0.0.1:9/?token=${SECRET}`,
  `127.0.0.1:9?${SECRET}`,
];
const COMMANDS = [
  ['health'],
  ['status'],
  ['auth', 'explain'],
  ['config', 'get'],
  ['config', 'get', 'gateway.remote.url'],
  ['config', 'validate'],
  ['gateway', 'probe'],
  ['gateway', 'status'],
];

test.each(URLS)('NET-40: no command shows what is secret of %s', (url) => {
  const dir = mkdtempSync(join(tmpdir(), 'ocg-urls-'));
  try {
    writeFileSync(
      join(dir, 'openclaw.json'),
      `{ gateway: { mode: "remote", remote: { url: ${JSON.stringify(url)}, token: "abcdefghijklmnop" } } } // ${url}\n`,
      { mode: 0o600 },
    );
    for (const command of COMMANDS)
      for (const json of [[], ['--json']]) {
        const { stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'bin', 'openclaw.js'), ...command, ...json], {
          env: productEnv(dir),
          encoding: 'utf8',
          timeout: 30_000,
        });
        expect(`${stdout}${stderr}`, command.join(' ')).not.toBe('');
        expect(`${stdout}${stderr}`, command.join(' ')).not.toContain(SECRET);
      }
    const { stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'bin', 'openclaw.js'), 'health'], {
      env: productEnv(dir, { OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: 'abcdefghijklmnop' }),
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect(stdout + stderr).not.toContain(SECRET);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
